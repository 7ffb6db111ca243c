// @ts-check
/**
 * The one table of artists' sliders, `data/sliders.json`, which the server reads too
 * (`landmarks/sliders.py`, `landmarks/target.py`): from slider values to ARKit coefficients,
 * to a pose, and to the head's place in the picture.
 */

/** @typedef {Record<string, number>} Values slider id -> value */

/**
 * @typedef {object} Slider
 * @property {string} id also the node's input
 * @property {string} group
 * @property {'pose' | 'placement' | 'expression'} kind
 * @property {string} label
 * @property {number} min
 * @property {number} max
 * @property {number} step
 * @property {number} default
 * @property {Record<string, number>} [positive]
 * @property {Record<string, number>} [negative]
 */

/** @typedef {{ type: string, pairs: [string, string][], max?: number, note: string }} Limit */
/** @typedef {{ id: string, label: string, values: Values }} Preset */

/**
 * @typedef {object} Table
 * @property {Slider[]} sliders
 * @property {{ id: string, label: string }[]} groups
 * @property {Preset[]} presets
 * @property {Limit[]} limits
 * @property {{ centre: [number, number], scale: number }} canvas
 */

/**
 * What the last run added below the sliders: the target photo's, or the reference's own.
 *
 * @typedef {object} Base
 * @property {[number, number, number]} pose degrees
 * @property {ArrayLike<number>} expression ARKit coefficients
 * @property {[number, number]} [position] fractions of the canvas
 * @property {number} [scale] fraction of the canvas's shorter side
 */

export class SliderTable {
  /** @param {Table} table @param {string[]} names ARKit names in the face model's order */
  constructor(table, names) {
    this.sliders = table.sliders
    this.groups = table.groups
    this.presets = table.presets
    this.limits = table.limits
    this.canvas = table.canvas
    this.index = new Map(names.map((name, i) => [name, i]))
    this.byId = new Map(table.sliders.map((slider) => [slider.id, slider]))
  }

  /**
   * @param {string[]} names
   * @param {string | URL} [url]
   * @returns {Promise<SliderTable>}
   */
  static async load(names, url = new URL('../data/sliders.json', import.meta.url)) {
    const answer = await fetch(url)
    if (!answer.ok) throw new Error(`slider table not loaded (${answer.status} ${answer.statusText})`)
    return new SliderTable(await answer.json(), names)
  }

  /** @param {Slider['kind'][]} kinds @returns {Values} the defaults of these kinds */
  defaults(...kinds) {
    /** @type {Values} */
    const values = {}
    for (const slider of this.sliders) if (kinds.includes(slider.kind)) values[slider.id] = slider.default
    return values
  }

  /**
   * @param {string} id
   * @param {number} value
   * @returns {number} within the slider's range, on its step
   */
  clamp(id, value) {
    const slider = /** @type {Slider} */ (this.byId.get(id))
    const stepped = Math.round(value / slider.step) * slider.step
    return Number(Math.min(slider.max, Math.max(slider.min, stepped)).toFixed(4))
  }

  /**
   * Coefficients for slider values on top of a base, within the limits of anatomy.
   *
   * @param {Values} values
   * @param {ArrayLike<number> | null} [base]
   * @returns {Float32Array}
   */
  expression(values, base) {
    const count = this.index.size
    const start = base ?? new Float32Array(count)
    const taken = Float64Array.from(start)
    const added = new Float64Array(count)
    const at = (/** @type {string} */ name) => /** @type {number} */ (this.index.get(name))
    for (const { id, kind, positive = {}, negative = {} } of this.sliders) {
      const value = kind === 'expression' ? (values[id] ?? 0) : 0
      if (value > 0) {
        for (const [name, gain] of Object.entries(positive)) added[at(name)] += value * gain
      } else if (value < 0) {
        const used = Math.max(...Object.entries(positive).map(([name, gain]) => start[at(name)] / gain))
        for (const [name, gain] of Object.entries(positive)) taken[at(name)] += value * gain
        for (const [name, gain] of Object.entries(negative)) added[at(name)] += Math.max(0, -value - used) * gain
      }
    }
    const sum = taken.map((value, i) => Math.max(value, 0) + added[i])
    return Float32Array.from(this.limit(sum))
  }

  /** @param {Float64Array} coefficients @returns {Float64Array} */
  limit(coefficients) {
    const result = coefficients.map((value) => Math.min(1, Math.max(0, value)))
    for (const { type, pairs, max = 1 } of this.limits) {
      for (const [a, b] of pairs) {
        const [i, j] = [/** @type {number} */ (this.index.get(a)), /** @type {number} */ (this.index.get(b))]
        if (type === 'opposites') {
          const common = Math.min(result[i], result[j])
          result[i] -= common
          result[j] -= common
        } else if (type === 'sum') {
          const total = result[i] + result[j]
          if (total > max) {
            result[i] *= max / total
            result[j] *= max / total
          }
        } else {
          result[i] = Math.min(result[i], result[j])
        }
      }
    }
    return result
  }

  /**
   * @param {Values} values
   * @param {Base | null} [base]
   * @returns {[number, number, number]} yaw, pitch, roll in degrees, as the server limits them
   */
  pose(values, base) {
    const limits = [90, 60, 180]
    const sum = ['yaw', 'pitch', 'roll'].map((id, i) => (values[id] ?? 0) + (base?.pose[i] ?? 0))
    return /** @type {[number, number, number]} */ (sum.map((v, i) => Math.min(limits[i], Math.max(-limits[i], v))))
  }

  /**
   * @param {Values} values
   * @param {number} width px
   * @param {number} height px
   * @param {Base | null} [base]
   * @returns {import('./camera.js').Placement}
   */
  placement(values, width, height, base) {
    const [x, y] = base?.position ?? this.canvas.centre
    const size = base?.scale ?? this.canvas.scale
    return {
      cx: (x + (values.position_x ?? 0) / 2) * width,
      cy: (y - (values.position_y ?? 0) / 2) * height,
      scale: Math.max(size * Math.max(values.scale ?? 1, 0.01), 1e-3) * Math.min(width, height)
    }
  }
}
