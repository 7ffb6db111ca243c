// @ts-check
/** The 3D face, read from the file that the server reads. */
import { parseSafetensors } from './safetensors.js'

/** Number of landmarks: 68 iBUG, two pupils, glabella, forehead. */
export const POINTS = 72

/**
 * The 3D face: mean + identity basis + expression basis, read from the file that the server reads.
 */
export class FaceModel {
  /**
   * @param {import('./safetensors.js').SafetensorsFile} file
   * @throws {Error} when a tensor is missing
   */
  constructor(file) {
    for (const name of ['mean', 'identity', 'expression', 'triangles']) {
      if (!file.tensors[name]) throw new Error(`the 3D face file has no "${name}"`)
    }
    const scales = JSON.parse(file.metadata.scales)
    const real = (/** @type {string} */ name) =>
      Float32Array.from(file.tensors[name].data, (value) => value * scales[name])
    /** (72, 3) @readonly */
    this.mean = real('mean')
    /** (K, 72, 3) @readonly */
    this.identity = real('identity')
    /** (52, 72, 3) @readonly */
    this.expression = real('expression')
    /** (T, 3), front sides clockwise as seen in a picture @readonly */
    this.triangles = Int32Array.from(file.tensors.triangles.data)
    /** @type {string[]} ARKit names, in the basis' order @readonly */
    this.names = JSON.parse(file.metadata.expression_names)
    /** @type {Map<string, number>} @readonly */
    this.index = new Map(this.names.map((name, i) => [name, i]))
  }

  /**
   * Fetch the model that lies beside the scripts.
   *
   * @param {string | URL} [url]
   * @returns {Promise<FaceModel>}
   */
  static async load(url = new URL('../data/face72.safetensors', import.meta.url)) {
    const answer = await fetch(url)
    if (!answer.ok) throw new Error(`3D face not loaded (${answer.status} ${answer.statusText})`)
    return new FaceModel(parseSafetensors(await answer.arrayBuffer()))
  }

  /**
   * Points of a face in the head frame.
   *
   * @param {ArrayLike<number>} shape identity coefficients; fewer than the basis has is fine
   * @param {ArrayLike<number>} expression ARKit coefficients in the order of `names`
   * @param {Float32Array} [out] (72, 3)
   * @returns {Float32Array}
   */
  points(shape, expression, out = new Float32Array(POINTS * 3)) {
    out.set(this.mean)
    accumulate(out, this.identity, shape)
    accumulate(out, this.expression, expression)
    return out
  }
}

/**
 * @param {Float32Array} out
 * @param {Float32Array} basis
 * @param {ArrayLike<number>} coefficients
 */
function accumulate(out, basis, coefficients) {
  const size = out.length
  const count = Math.min(coefficients.length, basis.length / size)
  for (let k = 0; k < count; k++) {
    const c = coefficients[k]
    if (!c) continue
    for (let i = 0, j = k * size; i < size; i++, j++) out[i] += c * basis[j]
  }
}
