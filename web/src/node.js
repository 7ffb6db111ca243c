// @ts-check
/**
 * Ties the face widget to a ComfyUI node: inputs, what is kept with the workflow, and results.
 */
import { FaceModel } from './face_model.js'
import { FaceWidget } from './face_widget.js'
import { HeadLoader } from './head_loader.js'
import { NodeInputs } from './node_inputs.js'
import { SliderTable } from './sliders.js'
import { translator } from './strings.js'

export const WIDGET = 'hifi_face'
const MEMORY = 'hifi_portrait'
const MINIMUM_HEIGHT = 446
const MINIMUM_WIDTH = 360
/** How often inputs and theme are looked at, ms: undo and other extensions change them without a call. */
const LOOK_EVERY = 250

/** @typedef {{ model: FaceModel, table: SliderTable, words: (key: string) => string }} Data */
/** @type {Data | null} */
let data = null

/**
 * Load the 3D face, the slider table and the words, once for all nodes. Awaited before any node is
 * made, so that nodes have their size from the start.
 *
 * @param {string} locale
 * @returns {Promise<Data>}
 */
export async function loadData(locale) {
  if (!data) {
    const [model, words] = await Promise.all([FaceModel.load(), translator(locale)])
    data = { model, words, table: await SliderTable.load(model.names) }
  }
  return data
}

/** @typedef {import('./node_inputs.js').HostNode} HostNode */

/**
 * What else is needed of ComfyUI's page.
 *
 * @typedef {object} HostPage
 * @property {(path: string) => string} address makes an address of the host's out of a path
 * @property {() => void} keep has the workflow kept for a reload, as it is now
 */

/**
 * @template {keyof HostNode} K
 * @param {HostNode} node
 * @param {K} name
 * @param {(...values: any[]) => void} after
 */
function chain(node, name, after) {
  const before = /** @type {any} */ (node[name])
  /** @type {any} */
  const target = node
  target[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values)
    after(...values)
    return result
  }
}

/**
 * Put the face on a node.
 *
 * @param {HostNode} node
 * @param {string} locale
 * @param {HostPage} host
 */
export function attachFace(node, locale, host) {
  const holder = document.createElement('div')
  holder.className = 'hifi-holder'
  const widget = node.addDOMWidget(WIDGET, 'HIFI_PORTRAIT_FACE', holder, {
    serialize: false,
    hideOnZoom: false,
    margin: 8,
    getMinHeight: () => MINIMUM_HEIGHT,
    getValue: () => '',
    setValue: () => {}
  })
  // Neither in the prompt (options.serialize) nor among the workflow's widget values.
  widget.serialize = false
  // Artists look first: the face goes above the sliders. The host writes values by place and reads
  // them back without the widgets that are not saved, so its gaps are closed here.
  node.widgets = [widget, ...node.widgets.filter((other) => other !== widget)]
  chain(node, 'onSerialize', (info) => {
    if (info.widgets_values) {
      info.widgets_values = node.widgets.filter((w) => w.serialize !== false).map((w) => w.value)
    }
  })
  const size = node.computeSize()
  node.setSize([Math.max(MINIMUM_WIDTH, size[0]), size[1]])

  if (data) {
    start(node, holder, data, host)
  } else {
    loadData(locale)
      .then((loaded) => start(node, holder, loaded, host))
      .catch((error) => {
        holder.textContent = `HiFi-Portrait: ${error.message}`
      })
  }
}

/**
 * @param {HostNode} node
 * @param {HTMLElement} holder
 * @param {Data} loaded
 * @param {HostPage} host
 */
function start(node, holder, { model, table, words }, host) {
  const memory = memoryOf(node)
  const inputs = new NodeInputs(node, table, () => JSON.stringify(node.properties[MEMORY]))
  const text = (/** @type {string} */ key) =>
    key.startsWith('slider.') ? inputs.label(key.slice(7)) : words(key)
  const face = new FaceWidget(model, table, inputs, memory, text)
  holder.replaceChildren(face.element)
  const head = new HeadLoader(host.address, (person) => face.setHead(person))
  inputs.watch(() => face.changed())
  const timer = setInterval(watcher(node, holder, inputs, face), LOOK_EVERY)
  chain(node, 'onRemoved', () => {
    clearInterval(timer)
    face.destroy()
  })
  chain(node, 'onExecuted', (output) => {
    const result = output?.hifi_landmarks?.[0]
    if (!result) return
    memory.shape = result.shape ?? undefined
    memory.base = result.base ?? null
    if (JSON.stringify(memory.head ?? null) !== JSON.stringify(result.head ?? null)) {
      memory.head = result.head ?? null
      host.keep()
    }
    head.show(memory.head)
    face.refresh()
  })
  // A workflow brings its own size, properties and values.
  chain(node, 'onConfigure', () => {
    head.show(memory.head)
    face.showGroup(false)
    face.refresh()
  })
  head.show(memory.head)
  face.showGroup(true)
  face.refresh()
}

/**
 * What is kept with the workflow: each write puts a new object into the node's properties.
 *
 * @param {HostNode} node
 * @returns {import('./face_widget.js').Memory}
 */
function memoryOf(node) {
  return new Proxy(/** @type {any} */ ({}), {
    get: (_, key) => node.properties[MEMORY]?.[key],
    set: (_, key, value) => {
      node.properties[MEMORY] = { ...node.properties[MEMORY], [key]: value }
      return true
    }
  })
}

/**
 * Returns what is done now and then: look for changed inputs, and redraw all if theme or person changed.
 *
 * @param {HostNode} node
 * @param {HTMLElement} holder
 * @param {NodeInputs} inputs
 * @param {FaceWidget} face
 */
function watcher(node, holder, inputs, face) {
  let theme = ''
  return () => {
    if (!holder.isConnected) return
    inputs.look()
    const now = getComputedStyle(document.body).backgroundColor + document.documentElement.className + document.body.className
    const kept = JSON.stringify([node.properties[MEMORY]?.shape, node.properties[MEMORY]?.favourites])
    if (theme !== now + kept) {
      theme = now + kept
      face.refresh()
    }
  }
}
