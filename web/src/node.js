// @ts-check
/**
 * Ties the face widget to a ComfyUI node: inputs, what is kept with the workflow, and results.
 */
import { FaceModel } from './face_model.js'
import { FaceWidget } from './face_widget.js'
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
 */
export function attachFace(node, locale) {
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
    start(node, holder, data)
  } else {
    loadData(locale)
      .then((loaded) => start(node, holder, loaded))
      .catch((error) => {
        holder.textContent = `HiFi-Portrait: ${error.message}`
      })
  }
}

/**
 * @param {HostNode} node
 * @param {HTMLElement} holder
 * @param {Data} loaded
 */
function start(node, holder, { model, table, words }) {
  const find = (/** @type {string} */ name) => node.widgets.find((w) => w.name === name)
  const text = (/** @type {string} */ key) => {
    const id = key.startsWith('slider.') ? key.slice(7) : ''
    return id ? (find(id)?.label ?? table.byId.get(id)?.label ?? id) : words(key)
  }
  const linked = (/** @type {string} */ name) =>
    node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false

  /** @type {import('./face_widget.js').Memory} */
  const memory = new Proxy(/** @type {any} */ ({}), {
    get: (_, key) => node.properties[MEMORY]?.[key],
    set: (_, key, value) => {
      node.properties[MEMORY] = { ...node.properties[MEMORY], [key]: value }
      return true
    }
  })
  let setting = false
  const controls = {
    values: () => Object.fromEntries(table.sliders.map((s) => [s.id, Number(find(s.id)?.value ?? s.default)])),
    canvas: () => ({ width: Number(find('width')?.value ?? 1024), height: Number(find('height')?.value ?? 1024) }),
    set: (/** @type {import('./sliders.js').Values} */ values) => {
      setting = true
      for (const [id, value] of Object.entries(values)) {
        const input = find(id)
        // A linked input is set by another node.
        if (!input || input.value === value || linked(id)) continue
        input.value = value
        input.callback?.(value)
      }
      setting = false
      seen = state()
      node.setDirtyCanvas?.(true, true)
      node.graph?.change?.()
    },
    showGroup: (/** @type {string} */ group, /** @type {boolean} */ resize) => showGroup(group, resize)
  }
  /** @param {NodeWidget} input @param {boolean} hidden */
  const hide = (input, hidden) => {
    input.hidden = hidden
    if (input.options) input.options.hidden = hidden
    // The canvas renderer leaves room for hidden widgets unless they say that they have no height.
    if (hidden) input.computeSize = () => [0, -4]
    else delete input.computeSize
  }
  const showGroup = (/** @type {string} */ group, /** @type {boolean} */ resize) => {
    const before = node.computeSize()[1]
    for (const slider of table.sliders) {
      const input = find(slider.id)
      // A slider that another node drives keeps its place, so that the link can be seen.
      if (input) hide(input, group !== 'all' && slider.group !== group && !linked(slider.id))
    }
    // Nodes 2.0 looks at the list, not at the entries, and ignores a list that seems the same.
    const all = [...node.widgets]
    node.widgets = []
    node.widgets = all
    const after = node.computeSize()[1]
    if (resize) node.setSize([node.size[0], Math.max(after, node.size[1] + after - before)])
    node.setDirtyCanvas?.(true, true)
  }
  const face = new FaceWidget(model, table, controls, memory, text)
  holder.replaceChildren(face.element)

  const state = () => JSON.stringify([controls.values(), controls.canvas(), node.properties[MEMORY]])
  let seen = state()
  const look = () => {
    const now = state()
    if (now === seen || setting) return
    seen = now
    face.changed()
  }
  for (const { id } of table.sliders) {
    const input = find(id)
    if (!input) continue
    const before = input.callback
    input.callback = function (...values) {
      before?.apply(this, values)
      look()
    }
  }
  let theme = ''
  const timer = setInterval(() => {
    if (!holder.isConnected) return
    look()
    const now = getComputedStyle(document.body).backgroundColor + document.documentElement.className + document.body.className
    const kept = JSON.stringify([node.properties[MEMORY]?.shape, node.properties[MEMORY]?.favourites])
    if (theme !== now + kept) {
      theme = now + kept
      face.refresh()
    }
  }, LOOK_EVERY)
  chain(node, 'onRemoved', () => {
    clearInterval(timer)
    face.destroy()
  })
  chain(node, 'onExecuted', (output) => {
    const result = output?.hifi_landmarks?.[0]
    if (!result) return
    memory.shape = result.shape ?? undefined
    memory.base = result.base ?? null
    face.refresh()
  })
  // A workflow brings its own size, properties and values.
  chain(node, 'onConfigure', () => {
    face.showGroup(false)
    face.refresh()
  })
  face.showGroup(true)
  face.refresh()
}
