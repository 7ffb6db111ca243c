// @ts-check
/** The sliders and the canvas of a ComfyUI node, as the face widget's controls. */

/** Satisfies `Controls` of `face_widget.js`. */
export class NodeInputs {
  /**
   * @param {import('./host.js').HostNode} node
   * @param {import('./sliders.js').SliderTable} table
   */
  constructor(node, table) {
    this.node = node
    this.table = table
    this.setting = false
    this.seen = this.state()
  }

  /** The slider's name as the node shows it. @param {string} id */
  label(id) {
    return this.node.label(id) ?? this.table.byId.get(id)?.label ?? id
  }

  values() {
    return Object.fromEntries(this.table.sliders.map((s) => [s.id, Number(this.node.value(s.id) ?? s.default)]))
  }

  canvas() {
    const { node } = this
    return { width: Number(node.value('width') ?? 1024), height: Number(node.value('height') ?? 1024) }
  }

  /** @param {import('./sliders.js').Values} values */
  set(values) {
    this.setting = true
    this.node.write(values)
    this.setting = false
    this.seen = this.state()
  }

  /** @param {string} group @param {boolean} resize */
  showGroup(group, resize) {
    /** @type {Record<string, boolean>} */
    const shown = {}
    for (const slider of this.table.sliders) {
      // A slider that another node drives keeps its place, so that the link can be seen.
      shown[slider.id] = group === 'all' || slider.group === group || this.node.linked(slider.id)
    }
    this.node.showInputs(shown, resize)
  }

  /** @private */
  state() {
    return JSON.stringify([this.values(), this.canvas()])
  }

  /** Hear of changes that do not come from here. @param {() => void} changed */
  watch(changed) {
    this.node.on('changed', () => {
      if (this.setting) return
      const now = this.state()
      if (now === this.seen) return
      this.seen = now
      changed()
    })
  }
}
