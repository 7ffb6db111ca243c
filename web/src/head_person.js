// @ts-check
/** A person's head as the server wrote it for the widget (`head/widget.py`): places and texture in one file. */
import { parseSafetensors } from './safetensors.js'

/** @typedef {{ filename: string, subfolder: string, type: string }} HostFile as the host's view route names files */

/**
 * @typedef {object} HeadPerson
 * @property {Float32Array} places (G, 3) neutral, head frame
 * @property {ImageBitmap} texture colours above, opacity (as grey) below, then rows of colours with closed lids
 * @property {Lids} lids
 * @property {Own[]} own what this person's expressions add to the mesh's
 */

/**
 * @typedef {object} Lids
 * @property {number} side px of the colours' square
 * @property {number} top row of the colours that the rows with closed lids begin at
 * @property {number} rows
 * @property {[number, number]} mixed blink coefficients between which they are mixed in
 */

/**
 * @typedef {object} Own
 * @property {string} name of the ARKit coefficient
 * @property {Int32Array} places (M,) rows of the mesh's places
 * @property {Float32Array} delta (M, 3) displacement at 1
 */

const FORMAT = 'hifi-portrait-widget-head/2'

/**
 * @param {ArrayBuffer} buffer
 * @returns {Promise<HeadPerson>}
 * @throws {Error} when the file is damaged or of another kind
 */
export async function readPerson(buffer) {
  const { metadata, tensors } = parseSafetensors(buffer)
  if (metadata.format !== FORMAT || !tensors.geometry || !tensors.texture) throw new Error('not a head for the widget')
  const image = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (tensors.texture.bytes)], { type: 'image/jpeg' })
  const texture = await createImageBitmap(image)
  const side = texture.width
  return {
    places: scaled(tensors.geometry, metadata.scale),
    texture,
    lids: { side, top: Number(metadata.lids_top), rows: texture.height - 2 * side, mixed: JSON.parse(metadata.lids_mixed) },
    own: ownOf(metadata, tensors)
  }
}

/** @param {import('./safetensors.js').Tensor} tensor @param {string} scale @returns {Float32Array} */
const scaled = (tensor, scale) => Float32Array.from(tensor.data, (value) => value * Number(scale))

/**
 * @param {Record<string, string>} metadata
 * @param {Record<string, import('./safetensors.js').Tensor>} tensors
 * @returns {Own[]}
 */
function ownOf(metadata, tensors) {
  if (!metadata.own) return []
  const start = tensors.own_start.data
  const places = Int32Array.from(tensors.own_place.data)
  const delta = scaled(tensors.own_delta, metadata.own_scale)
  return JSON.parse(metadata.own).map((/** @type {string} */ name, /** @type {number} */ k) => ({
    name,
    places: places.subarray(start[k], start[k + 1]),
    delta: delta.subarray(3 * start[k], 3 * start[k + 1])
  }))
}

/**
 * How far closed lids are mixed in, of the right eye and of the left.
 *
 * @param {HeadPerson} person
 * @param {string[]} names of the coefficients
 * @param {ArrayLike<number>} expression
 * @returns {[number, number]} 0..1
 */
export function shutting(person, names, expression) {
  const [low, high] = person.lids.mixed
  const share = (/** @type {string} */ name) => {
    const t = Math.min(1, Math.max(0, ((expression[names.indexOf(name)] || 0) - low) / (high - low)))
    return t * t * (3 - 2 * t)
  }
  return [share('eyeBlinkRight'), share('eyeBlinkLeft')]
}

/**
 * Fetch a person's head through the host's own view route.
 *
 * @param {HostFile} file
 * @param {(path: string) => string} address makes an address of the host's out of a path
 * @returns {Promise<HeadPerson | null>} null when the host has it no more
 */
export async function fetchPerson(file, address) {
  const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder, type: file.type })
  const answer = await fetch(address(`/view?${query}`))
  return answer.ok ? readPerson(await answer.arrayBuffer()) : null
}
