// @ts-check
/** The face above the sliders: shows what they say, and sets them. */
import { FaceView } from './face_view.js'
import { FaceGestures } from './face_gestures.js'
import { groupTabs, toolbar } from './face_tools.js'
import { Shelf } from './shelf.js'
import { readTheme } from './theme.js'

/**
 * The node's inputs, as the widget sees them.
 *
 * @typedef {object} Controls
 * @property {() => import('./sliders.js').Values} values all sliders
 * @property {(values: import('./sliders.js').Values) => void} set changes some sliders
 * @property {() => { width: number, height: number }} canvas size of the picture, px
 * @property {(group: string, resize: boolean) => void} showGroup shows the sliders of one group only, or of `all`
 */

/**
 * What is kept with the workflow beside the inputs.
 *
 * @typedef {object} Memory
 * @property {number[]} [shape] identity coefficients of the last run
 * @property {import('./sliders.js').Base | null} [base] what the last run added below the sliders
 * @property {{ name: string, values: import('./sliders.js').Values }[]} [favourites]
 * @property {import('./face_view.js').Style} [style]
 * @property {import('./head_person.js').HostFile | null} [head] file of the person's textured head, of the last run
 * @property {boolean} [compare]
 * @property {string} [group] which sliders are shown
 */

/** The face above the sliders: shows what they say, and sets them. */
export class FaceWidget {
  /**
   * @param {import('./face_model.js').FaceModel} model
   * @param {import('./sliders.js').SliderTable} table
   * @param {Controls} controls
   * @param {Memory} memory kept by the caller; changed in place
   * @param {(key: string) => string} text translated words
   */
  constructor(model, table, controls, memory, text) {
    this.model = model
    this.table = table
    this.controls = controls
    this.memory = memory
    this.text = text
    this.view = new FaceView(model)
    this.referenceView = new FaceView(model)
    this.referencePicture = document.createElement('canvas')
    this.referenceKey = ''
    this.theme = readTheme(document.body)
    this.points = new Float32Array(72 * 3)
    /** The person of the last run, once loaded. @type {import('./head_view.js').HeadView | null} */
    this.head = null
    this.frameAsked = false
    this.draft = false
    this.rest = 0
    this.lastDrawn = 0

    this.element = document.createElement('div')
    this.element.className = 'hifi-face'
    /** For tests and other extensions. @type {any} */
    const handle = this.element
    handle.face = this
    this.stage = document.createElement('div')
    this.stage.className = 'hifi-stage'
    this.canvas = document.createElement('canvas')
    this.canvas.tabIndex = 0
    this.canvas.setAttribute('role', 'application')
    this.canvas.setAttribute('aria-roledescription', text('face_control'))
    this.canvas.title = text('hint')
    this.status = document.createElement('div')
    this.status.className = 'hifi-status'
    this.status.setAttribute('aria-live', 'polite')
    this.shelf = new Shelf(model, table, memory, text, {
      apply: (values) => this.set(values),
      current: () => this.controls.values(),
      changed: () => this.draw()
    })
    const { bar, compare } = toolbar(this)
    this.compareButton = compare
    this.stage.append(this.canvas, bar, this.status)
    this.groupTabs = groupTabs(this)
    this.element.append(this.stage, this.shelf.element, this.groupTabs)
    this.gestures = new FaceGestures(this)
    // Also when it comes into view, perhaps in other colours than it was made in.
    this.observer = new ResizeObserver(() => this.refresh())
    this.observer.observe(this.stage)
  }

  /**
   * Show the sliders of the group that is remembered.
   *
   * @param {boolean} resize whether the node grows or shrinks with them
   */
  showGroup(resize) {
    const known = ['all', ...this.table.groups.map(({ id }) => id)]
    const group = known.includes(this.memory.group ?? '') ? String(this.memory.group) : 'head'
    for (const tab of this.groupTabs.children) {
      tab.setAttribute('aria-selected', String(/** @type {HTMLElement} */ (tab).dataset.group === group))
    }
    this.controls.showGroup(group, resize)
  }

  /** @param {import('./sliders.js').Values} values */
  set(values) {
    /** @type {import('./sliders.js').Values} */
    const known = {}
    for (const [id, value] of Object.entries(values)) {
      if (this.table.byId.has(id)) known[id] = this.table.clamp(id, value)
    }
    this.controls.set(known)
    this.changed()
  }

  resetHead() {
    this.set(this.table.defaults('pose', 'placement'))
  }

  /** Draw now, or in the next frame if this one is done; finely after a rest. */
  changed() {
    this.draft = true
    clearTimeout(this.rest)
    this.rest = setTimeout(() => {
      this.draft = false
      this.draw()
    }, 120)
    if (performance.now() - this.lastDrawn > 7) {
      this.draw()
    } else if (!this.frameAsked) {
      this.frameAsked = true
      requestAnimationFrame(() => {
        this.frameAsked = false
        this.draw()
      })
    }
  }

  /**
   * @param {import('./sliders.js').Values} values
   * @returns {import('./face_view.js').Face}
   */
  face(values) {
    const { shape = [], base } = this.memory
    const { width, height } = this.controls.canvas()
    const expression = this.table.expression(values, base?.expression)
    return {
      points: this.model.points(shape, expression, this.points),
      expression,
      pose: this.table.pose(values, base),
      placement: this.table.placement(values, width, height, base)
    }
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.stage
    if (!width || !height) return
    this.lastDrawn = performance.now()
    const density = Math.min(2, window.devicePixelRatio || 1)
    const [w, h] = [Math.round(width * density), Math.round(height * density)]
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w
      this.canvas.height = h
    }
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'))
    ctx.setTransform(density, 0, 0, density, 0, 0)
    ctx.clearRect(0, 0, width, height)

    const values = this.controls.values()
    const face = this.face(values)
    const picture = this.controls.canvas()
    const { style } = this
    const canCompare = Boolean(this.memory.shape)
    const compare = canCompare && this.comparing
    this.compareButton.toggleAttribute('hidden', !canCompare)
    this.compareButton.setAttribute('aria-pressed', String(compare))
    const area = { x: 0, y: 0, width, height }
    if (compare) {
      const share = Math.round(width * 0.34)
      this.drawReference(ctx, share, h, density, style)
      area.x = share
      area.width = width - share
    }
    this.view.draw(ctx, area, picture, face, this.theme, {
      style,
      head: this.head,
      highlight: this.gestures.handle?.point,
      draft: this.draft,
      caption: compare ? this.text('target') : undefined
    })
    this.canvas.setAttribute('aria-label', this.describe(values))
  }

  /**
   * The person's own face, still, at the left.
   *
   * @param {CanvasRenderingContext2D} ctx scaled to CSS px
   * @param {number} share width, CSS px
   * @param {number} rows height, px of the canvas
   * @param {number} density px of the canvas per CSS px
   * @param {import('./face_view.js').Style} style
   */
  drawReference(ctx, share, rows, density, style) {
    const height = this.stage.clientHeight
    const key = JSON.stringify([share, height, density, style, this.theme, this.memory.shape, this.head && this.memory.head])
    if (key !== this.referenceKey) {
      // Changes with the person only.
      this.referenceKey = key
      this.referencePicture.width = Math.round(share * density)
      this.referencePicture.height = rows
      const still = /** @type {CanvasRenderingContext2D} */ (this.referencePicture.getContext('2d'))
      still.scale(density, density)
      const face = {
        points: this.model.points(this.memory.shape ?? [], []),
        pose: /** @type {[number, number, number]} */ ([0, 0, 0]),
        placement: { cx: 50, cy: 66, scale: 33 }
      }
      const left = { x: 0, y: 0, width: share, height }
      const shown = { style, head: this.head, caption: this.text('reference') }
      this.referenceView.draw(still, left, { width: 100, height: 170 }, face, this.theme, shown)
    }
    ctx.drawImage(this.referencePicture, 0, 0, share, height)
  }

  /** How the face is drawn: as the person where there is one, unless another style was chosen. */
  get style() {
    return this.memory.style ?? (this.head ? 'photo' : 'clay')
  }

  /** Whether reference and target are wanted side by side. */
  get comparing() {
    return this.memory.compare ?? true
  }

  /** @param {import('./head_view.js').HeadView | null} head the person to show */
  setHead(head) {
    this.head = head
    this.refresh()
  }

  /** The face in words. @param {import('./sliders.js').Values} values */
  describe(values) {
    const changed = this.table.sliders
      .filter((slider) => Math.abs((values[slider.id] ?? slider.default) - slider.default) > 1e-6)
      .map((slider) => `${this.text(`slider.${slider.id}`)} ${values[slider.id]}`)
    return `${this.text('face')}: ${changed.length ? changed.join(', ') : this.text('neutral')}`
  }

  /** Say something to screen readers. @param {string} message */
  announce(message) {
    this.status.textContent = message
  }

  /** The page's colours may have changed. */
  recolour() {
    if (this.element.isConnected && JSON.stringify(readTheme(this.element)) !== JSON.stringify(this.theme)) this.refresh()
  }

  /** Draw all anew: what is kept, or the colours, may have changed. */
  refresh() {
    if (this.element.isConnected) this.theme = readTheme(this.element)
    this.shelf.refresh(this.theme)
    this.draw()
  }

  destroy() {
    this.observer.disconnect()
  }
}
