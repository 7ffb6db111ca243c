// @ts-check
/**
 * Ties the face widget to a ComfyUI node: inputs, what is kept with the workflow, and results.
 */
import { FaceModel } from './face_model.js'
import { FaceWidget } from './face_widget.js'
import { HeadLoader } from './head_loader.js'
import { address, keepWorkflow, locale, onRestyled } from './host.js'
import { NodeInputs } from './node_inputs.js'
import { SliderTable } from './sliders.js'
import { translator } from './strings.js'

export const WIDGET = 'hifi_face'
const MEMORY = 'hifi_portrait'
const MINIMUM_HEIGHT = 446
const MINIMUM_WIDTH = 360

/** @typedef {import('./host.js').HostNode} HostNode */
/** @typedef {{ model: FaceModel, table: SliderTable, words: (key: string) => string, language: string }} Data */
/** @type {Data | null} */
let data = null

/**
 * Load the 3D face, the slider table and the words of the page's language, once for all nodes. Awaited
 * before any node is made, so that nodes have their size from the start.
 *
 * @returns {Promise<Data>}
 */
export async function loadData() {
  const language = locale()
  if (data?.language === language) return data
  const [model, words] = await Promise.all([data?.model ?? FaceModel.load(), translator(language)])
  const table = data?.table ?? (await SliderTable.load(model.names))
  data = { model, words, table, language }
  return data
}

/**
 * Put the face on a node. Artists look first: it goes above the sliders.
 *
 * @param {HostNode} node
 */
export function attachFace(node) {
  const holder = document.createElement('div')
  holder.className = 'hifi-holder'
  node.mount(WIDGET, holder, { minimumHeight: MINIMUM_HEIGHT, minimumWidth: MINIMUM_WIDTH })
  if (data?.language === locale()) {
    start(node, holder, data, true)
    return
  }
  // The language was changed, or nothing could be loaded before.
  let fresh = true
  node.on('configured', () => (fresh = false))
  loadData()
    .then((loaded) => start(node, holder, loaded, fresh))
    .catch((error) => {
      holder.textContent = `HiFi-Portrait: ${error.message}`
    })
}

/**
 * @param {HostNode} node
 * @param {HTMLElement} holder
 * @param {Data} loaded
 * @param {boolean} fresh whether the node has the size of a new one, and no workflow's
 */
function start(node, holder, { model, table, words }, fresh) {
  const memory = memoryOf(node)
  const inputs = new NodeInputs(node, table)
  const text = (/** @type {string} */ key) =>
    key.startsWith('slider.') ? inputs.label(key.slice(7)) : words(key)
  const face = new FaceWidget(model, table, inputs, memory, text)
  holder.replaceChildren(face.element)
  const head = new HeadLoader(address, (person) => face.setHead(person))
  inputs.watch(() => face.changed())
  const stop = onRestyled(() => face.recolour())
  node.on('removed', () => {
    stop()
    face.destroy()
  })
  node.on('executed', (output) => {
    const result = output?.hifi_landmarks?.[0]
    if (!result) return
    memory.shape = result.shape ?? undefined
    memory.base = result.base ?? null
    if (JSON.stringify(memory.head ?? null) !== JSON.stringify(result.head ?? null)) {
      memory.head = result.head ?? null
      keepWorkflow()
    }
    head.show(memory.head)
    face.refresh()
  })
  // A workflow brings its own size, properties and values.
  node.on('configured', () => {
    head.show(memory.head)
    face.showGroup(false)
    face.refresh()
  })
  head.show(memory.head)
  face.showGroup(fresh)
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
    get: (_, key) => node.kept(MEMORY)?.[key],
    set: (_, key, value) => {
      node.keep(MEMORY, { ...node.kept(MEMORY), [key]: value })
      return true
    }
  })
}
