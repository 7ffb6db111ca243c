// @ts-check
/** A person's head as the server wrote it for the widget (`head/widget.py`): places and texture in one file. */
import { parseSafetensors } from './safetensors.js'

/** @typedef {{ filename: string, subfolder: string, type: string }} HostFile as the host's view route names files */

/**
 * @typedef {object} HeadPerson
 * @property {Float32Array} places (G, 3) neutral, head frame
 * @property {ImageBitmap} texture colours above, opacity (as grey) below
 */

const FORMAT = 'hifi-portrait-widget-head/1'

/**
 * @param {ArrayBuffer} buffer
 * @returns {Promise<HeadPerson>}
 * @throws {Error} when the file is damaged or of another kind
 */
export async function readPerson(buffer) {
  const { metadata, tensors } = parseSafetensors(buffer)
  if (metadata.format !== FORMAT || !tensors.geometry || !tensors.texture) throw new Error('not a head for the widget')
  const scale = Number(metadata.scale)
  const image = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (tensors.texture.bytes)], { type: 'image/jpeg' })
  return {
    places: Float32Array.from(tensors.geometry.data, (value) => value * scale),
    texture: await createImageBitmap(image)
  }
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
