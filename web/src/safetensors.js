// @ts-check
/**
 * Reads `.safetensors` files: an 8-byte little-endian header length, a JSON header, raw tensors.
 */

/** @typedef {{ dtype: string, shape: number[], data: Float32Array | Int32Array, bytes: Uint8Array }} Tensor */
/** @typedef {{ metadata: Record<string, string>, tensors: Record<string, Tensor> }} SafetensorsFile */

/**
 * @param {DataView} view
 * @param {string} dtype
 * @param {number} begin
 * @param {number} count
 * @returns {Float32Array | Int32Array}
 */
function readValues(view, dtype, begin, count) {
  const read = {
    F32: (/** @type {number} */ i) => view.getFloat32(begin + 4 * i, true),
    I32: (/** @type {number} */ i) => view.getInt32(begin + 4 * i, true),
    I16: (/** @type {number} */ i) => view.getInt16(begin + 2 * i, true),
    U16: (/** @type {number} */ i) => view.getUint16(begin + 2 * i, true),
    U8: (/** @type {number} */ i) => view.getUint8(begin + i)
  }[dtype]
  if (!read) throw new Error(`unknown tensor type ${dtype}`)
  const values = dtype.startsWith('F') ? new Float32Array(count) : new Int32Array(count)
  for (let i = 0; i < count; i++) values[i] = read(i)
  return values
}

/**
 * Parse a safetensors file.
 *
 * @param {ArrayBuffer} buffer
 * @param {readonly string[]} [names] tensors that are wanted; all by default
 * @returns {SafetensorsFile}
 * @throws {Error} when the file is truncated or holds a type that is not read here
 */
export function parseSafetensors(buffer, names) {
  const view = new DataView(buffer)
  const headerLength = buffer.byteLength >= 8 ? Number(view.getBigUint64(0, true)) : Infinity
  if (8 + headerLength > buffer.byteLength) throw new Error('not a safetensors file, or cut short')
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, headerLength)))
  const { __metadata__: metadata = {}, ...entries } = header
  /** @type {Record<string, Tensor>} */
  const tensors = {}
  for (const [name, entry] of Object.entries(entries)) {
    if (names && !names.includes(name)) continue
    const [begin, end] = entry.data_offsets
    if (8 + headerLength + end > buffer.byteLength) throw new Error(`tensor ${name} is cut short`)
    const count = entry.shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1)
    const data = readValues(view, entry.dtype, 8 + headerLength + begin, count)
    const bytes = new Uint8Array(buffer, 8 + headerLength + begin, end - begin)
    tensors[name] = { dtype: entry.dtype, shape: entry.shape, data, bytes }
  }
  return { metadata, tensors }
}
