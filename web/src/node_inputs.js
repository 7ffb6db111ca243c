// @ts-check
/** The sliders and the canvas of a ComfyUI node, as the face widget's controls. */

/**
 * @typedef {object} NodeWidget
 * @property {string} name
 * @property {string} [label]
 * @property {any} value
 * @property {boolean} [serialize]
 * @property {boolean} [hidden]
 * @property {{ hidden?: boolean }} [options]
 * @property {(width: number) => [number, number]} [computeSize]
 * @property {(value: any, ...rest: any[]) => void} [callback]
 */

/**
 * The part of ComfyUI's node that is used here.
 *
 * @typedef {object} HostNode
 * @property {NodeWidget[]} widgets
 * @property {{ name: string, link: number | null, widget?: { name: string } }[]} [inputs]
 * @property {Record<string, any>} properties
 * @property {[number, number]} size
 * @property {(name: string, type: string, element: HTMLElement, options: object) => NodeWidget} addDOMWidget
 * @property {(size: [number, number]) => void} setSize
 * @property {() => [number, number]} computeSize
 * @property {(dirty: boolean, background?: boolean) => void} [setDirtyCanvas]
 * @property {(output: any) => void} [onExecuted]
 * @property {() => void} [onRemoved]
 * @property {(info: any) => void} [onSerialize]
 * @property {(info: any) => void} [onConfigure]
 * @property {{ change?: () => void }} [graph]
 */

/** Satisfies `Controls` of `face_widget.js`. */
export class NodeInputs {
  /**
   * @param {HostNode} node
   * @param {import('./sliders.js').SliderTable} table
   * @param {() => string} kept what else belongs to the state that is watched
   */
  constructor(node, table, kept) {
    this.node = node
    this.table = table
    this.kept = kept
    this.setting = false
    this.seen = this.state()
    /** Called when somebody else changed an input. */
    this.changed = () => {}
  }

  /** @param {string} name */
  find(name) {
    return this.node.widgets.find((w) => w.name === name)
  }

  /** The slider's name as the node shows it. @param {string} id */
  label(id) {
    return this.find(id)?.label ?? this.table.byId.get(id)?.label ?? id
  }

  /** @param {string} name @returns {boolean} whether another node sets it */
  linked(name) {
    return this.node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false
  }

  values() {
    return Object.fromEntries(this.table.sliders.map((s) => [s.id, Number(this.find(s.id)?.value ?? s.default)]))
  }

  canvas() {
    return { width: Number(this.find('width')?.value ?? 1024), height: Number(this.find('height')?.value ?? 1024) }
  }

  /** @param {import('./sliders.js').Values} values */
  set(values) {
    this.setting = true
    for (const [id, value] of Object.entries(values)) {
      const input = this.find(id)
      // A linked input is set by another node.
      if (!input || input.value === value || this.linked(id)) continue
      input.value = value
      input.callback?.(value)
    }
    this.setting = false
    this.seen = this.state()
    this.node.setDirtyCanvas?.(true, true)
    this.node.graph?.change?.()
  }

  /** @param {string} group @param {boolean} resize */
  showGroup(group, resize) {
    const { node } = this
    const before = node.computeSize()[1]
    for (const slider of this.table.sliders) {
      const input = this.find(slider.id)
      // A slider that another node drives keeps its place, so that the link can be seen.
      if (input) hide(input, group !== 'all' && slider.group !== group && !this.linked(slider.id))
    }
    // Nodes 2.0 looks at the list, not at the entries, and ignores a list that seems the same.
    const all = [...node.widgets]
    node.widgets = []
    node.widgets = all
    const after = node.computeSize()[1]
    if (resize) node.setSize([node.size[0], Math.max(after, node.size[1] + after - before)])
    node.setDirtyCanvas?.(true, true)
  }

  state() {
    return JSON.stringify([this.values(), this.canvas()]) + this.kept()
  }

  /** Tell of a change that did not come from here. */
  look() {
    const now = this.state()
    if (now === this.seen || this.setting) return
    this.seen = now
    this.changed()
  }

  /** Hear every slider from now on. @param {() => void} changed */
  watch(changed) {
    this.changed = changed
    const look = () => this.look()
    for (const { id } of this.table.sliders) {
      const input = this.find(id)
      if (!input) continue
      const before = input.callback
      input.callback = function (...values) {
        before?.apply(this, values)
        look()
      }
    }
  }
}

/** @param {NodeWidget} input @param {boolean} hidden */
function hide(input, hidden) {
  input.hidden = hidden
  if (input.options) input.options.hidden = hidden
  // The canvas renderer leaves room for hidden widgets unless they say that they have no height.
  if (hidden) input.computeSize = () => [0, -4]
  else delete input.computeSize
}
