// @ts-check
/**
 * The one module that calls ComfyUI's front end: page, settings, workflow, and nodes with their inputs.
 *
 * All others know `HostPage` and `HostNode` only, so that another extension API of the front end costs
 * this file. It works for both renderers, LiteGraph's canvas and Nodes 2.0.
 */
// @ts-ignore: served by ComfyUI
import { api } from '../../../scripts/api.js'
// @ts-ignore: served by ComfyUI
import { app } from '../../../scripts/app.js'

/** @typedef {'changed' | 'configured' | 'executed' | 'removed'} NodeEvent */

/**
 * @typedef {object} Registration
 * @property {string} name of the extension
 * @property {object[]} settings as the front end takes them
 * @property {() => Promise<unknown>} prepare awaited before any node is made
 * @property {Record<string, (node: HostNode) => void>} nodes what is done with a new node, by its kind
 */

/** @param {Registration} registration */
export function register({ name, settings, prepare, nodes }) {
  app.registerExtension({
    name,
    settings,
    init: prepare,
    /** @param {any} node */
    nodeCreated(node) {
      if (Object.hasOwn(nodes, node.comfyClass)) nodes[node.comfyClass](new HostNode(node))
    }
  })
}

/** @returns {string} the page's language, such as `zh` or `zh-TW` */
export function locale() {
  return app.extensionManager?.setting?.get('Comfy.Locale') ?? 'en'
}

/** @param {string} path @returns {string} an address of the server's */
export function address(path) {
  return api.apiURL(path)
}

/**
 * Have the workflow kept for a reload as it is now. The front end looks for changes after clicks and keys;
 * what a run brings would be lost by a reload before those.
 */
export function keepWorkflow() {
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.()
}

/** @type {Set<() => void>} */
const restyled = new Set()
/** @type {MutationObserver | null} */
let styleObserver = null

/**
 * Hear of every change of classes or variables of the page, which is how a colour palette is applied; once
 * a frame at most.
 *
 * @param {() => void} listener
 * @returns {() => void} stops it
 */
export function onRestyled(listener) {
  restyled.add(listener)
  if (!styleObserver) {
    let asked = false
    styleObserver = new MutationObserver(() => {
      if (asked) return
      asked = true
      requestAnimationFrame(() => {
        asked = false
        for (const tell of restyled) tell()
      })
    })
    const wanted = { attributes: true, attributeFilter: ['class', 'style'] }
    styleObserver.observe(document.documentElement, wanted)
    styleObserver.observe(document.body, wanted)
  }
  return () => restyled.delete(listener)
}

/** Elements on nodes that are there, and on nodes that are gone. @type {Set<{ element: HTMLElement, id: () => any, gone: boolean }>} */
const mounts = new Set()

/** @param {() => void} act */
function afterRendering(act) {
  requestAnimationFrame(() => requestAnimationFrame(act))
}

/** A node of the graph: its inputs by name, what it keeps with the workflow, and its events. */
export class HostNode {
  /** @param {any} node the front end's */
  constructor(node) {
    this.node = node
    /** @type {Record<NodeEvent, ((detail?: any) => void)[]>} */
    this.listeners = { changed: [], configured: [], executed: [], removed: [] }
    this.chain('onConfigure', () => this.tell('configured'))
    this.chain('onExecuted', (/** @type {any} */ output) => this.tell('executed', output))
    this.chain('onRemoved', () => this.tell('removed'))
    for (const input of node.widgets ?? []) observe(input, () => this.tell('changed'))
  }

  /**
   * - `changed`: an input may have another value, by whomever;
   * - `configured`: a workflow brought size, properties and values;
   * - `executed`: the node has run; the detail is its output;
   * - `removed`: the node is gone.
   *
   * @param {NodeEvent} event
   * @param {(detail?: any) => void} listener
   */
  on(event, listener) {
    this.listeners[event].push(listener)
  }

  /** @private @param {NodeEvent} event @param {any} [detail] */
  tell(event, detail) {
    for (const listener of this.listeners[event]) listener(detail)
  }

  /** @private @param {string} name @param {(...values: any[]) => void} after */
  chain(name, after) {
    const before = this.node[name]
    this.node[name] = function (/** @type {any[]} */ ...values) {
      const result = before?.apply(this, values)
      after(...values)
      return result
    }
  }

  /** @private @param {string} name */
  input(name) {
    return this.node.widgets.find((/** @type {any} */ w) => w.name === name)
  }

  /**
   * Put an element above the inputs; it is neither in the prompt nor among the workflow's values.
   *
   * @param {string} name
   * @param {HTMLElement} element
   * @param {{ minimumHeight: number, minimumWidth: number }} size px
   */
  mount(name, element, { minimumHeight, minimumWidth }) {
    const { node } = this
    const widget = node.addDOMWidget(name, name.toUpperCase(), element, {
      serialize: false,
      hideOnZoom: false,
      margin: 8,
      getMinHeight: () => minimumHeight,
      getValue: () => '',
      setValue: () => {}
    })
    // Neither in the prompt (options.serialize) nor among the workflow's widget values.
    widget.serialize = false
    // The host writes values by place and reads them back without the widgets that are not saved, so its
    // gaps are closed here.
    node.widgets = [widget, ...node.widgets.filter((/** @type {any} */ other) => other !== widget)]
    this.chain('onSerialize', (/** @type {any} */ info) => {
      if (!info.widgets_values) return
      const saved = node.widgets.filter((/** @type {any} */ w) => w.serialize !== false)
      info.widgets_values = saved.map((/** @type {any} */ w) => w.value)
    })
    const size = node.computeSize()
    node.setSize([Math.max(minimumWidth, size[0]), size[1]])
    this.keepInView(element)
  }

  /**
   * When a graph is loaded in place of another (undo, redo), Nodes 2.0 goes on showing the elements of the
   * former nodes wherever ids agree; they control nodes that are gone. Put this one in their place.
   *
   * @private
   * @param {HTMLElement} element
   */
  keepInView(element) {
    for (const mount of mounts) if (mount.gone && !mount.element.isConnected) mounts.delete(mount)
    const mine = { element, id: () => this.node.id, gone: false }
    mounts.add(mine)
    this.on('removed', () => (mine.gone = true))
    this.on('configured', () =>
      afterRendering(() => {
        if (mine.gone || element.isConnected) return
        for (const old of mounts) {
          if (old.gone && old.id() === mine.id() && old.element.isConnected) old.element.replaceWith(element)
        }
      })
    )
  }

  /** @param {string} name @returns {any} undefined where there is no such input */
  value(name) {
    return this.input(name)?.value
  }

  /** @param {string} name @returns {string | undefined} the input's name as the node shows it */
  label(name) {
    return this.input(name)?.label
  }

  /** @param {string} name @returns {boolean} whether another node sets it */
  linked(name) {
    const sockets = this.node.inputs ?? []
    return sockets.some((/** @type {any} */ socket) => socket.widget?.name === name && socket.link != null)
  }

  /**
   * Set inputs as if they had been set by hand. A linked input is left to the other node.
   *
   * @param {Record<string, any>} values
   */
  write(values) {
    for (const [name, value] of Object.entries(values)) {
      const input = this.input(name)
      if (!input || input.value === value || this.linked(name)) continue
      input.value = value
      input.callback?.(value)
    }
    this.node.setDirtyCanvas?.(true, true)
    this.node.graph?.change?.()
  }

  /**
   * Show some inputs and hide others.
   *
   * @param {Record<string, boolean>} shown by name; inputs that are not named stay as they are
   * @param {boolean} resize whether the node grows or shrinks with them
   */
  showInputs(shown, resize) {
    const { node } = this
    const before = node.computeSize()[1]
    for (const [name, visible] of Object.entries(shown)) {
      const input = this.input(name)
      if (input) hide(input, !visible)
    }
    // Nodes 2.0 looks at the list, not at the entries, and ignores a list that seems the same.
    const all = [...node.widgets]
    node.widgets = []
    node.widgets = all
    const after = node.computeSize()[1]
    if (resize) node.setSize([node.size[0], Math.max(after, node.size[1] + after - before)])
    node.setDirtyCanvas?.(true, true)
  }

  /** @param {string} name @returns {any} what is kept with the workflow under a name */
  kept(name) {
    return this.node.properties[name]
  }

  /** Keep something with the workflow. @param {string} name @param {any} value */
  keep(name, value) {
    this.node.properties[name] = value
  }
}

/** @param {any} input @param {boolean} hidden */
function hide(input, hidden) {
  input.hidden = hidden
  if (input.options) input.options.hidden = hidden
  // The canvas renderer leaves room for hidden widgets unless they say that they have no height.
  if (hidden) input.computeSize = () => [0, -4]
  else delete input.computeSize
}

/**
 * Hear of an input's changes: those by hand, which end in its callback, and those by another extension,
 * which often set the value only.
 *
 * @param {any} input
 * @param {() => void} changed
 */
function observe(input, changed) {
  const before = input.callback
  input.callback = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values)
    changed()
    return result
  }
  const { holder, property } = lookUp(input, 'value')
  if (!property || (holder === input && !property.configurable)) return
  const accessor = Boolean(property.get)
  let plain = property.value
  Object.defineProperty(input, 'value', {
    configurable: true,
    enumerable: holder === input && property.enumerable,
    get() {
      return accessor ? property.get?.call(this) : plain
    },
    set(value) {
      if (accessor) property.set?.call(this, value)
      else plain = value
      changed()
    }
  })
}

/**
 * @param {any} object
 * @param {string} name
 * @returns {{ holder: any, property: PropertyDescriptor | undefined }} where a property is defined, and how
 */
function lookUp(object, name) {
  for (let holder = object; holder; holder = Object.getPrototypeOf(holder)) {
    const property = Object.getOwnPropertyDescriptor(holder, name)
    if (property) return { holder, property }
  }
  return { holder: null, property: undefined }
}
