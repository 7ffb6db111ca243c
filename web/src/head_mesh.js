// @ts-check
/** The mesh of `head/model.py`: one file for Python and for browsers, moved by the same expressions. */
import { rotate, rotation } from './camera.js'
import { parseSafetensors } from './safetensors.js'

/** Where the neck bends, and the share of the head's yaw, pitch and roll that the chest follows. */
const NECK_PIVOT = [0, -1.5, -1.25]
const CHEST_SHARE = [0.35, 0.1, 0.2]

const TENSORS = [
  'mean', 'expression_start', 'expression_vertex', 'expression_delta', 'source', 'triangles', 'uv', 'follow'
]

/** Places (G, 3) are the surface's own; the mesh's V vertices are those, doubled where the texture is cut. */
export class HeadMesh {
  /**
   * @param {import('./safetensors.js').SafetensorsFile} file
   * @throws {Error} when a tensor is missing
   */
  constructor(file) {
    for (const name of TENSORS) {
      if (!file.tensors[name]) throw new Error(`the head's file has no "${name}"`)
    }
    const scales = JSON.parse(file.metadata.scales)
    const real = (/** @type {string} */ name) =>
      Float32Array.from(file.tensors[name].data, (value) => value * (scales[name] ?? 1))
    const whole = (/** @type {string} */ name) => Int32Array.from(file.tensors[name].data)
    /** (G, 3) the mean head @readonly */
    this.mean = real('mean')
    /** Number of places @readonly */
    this.places = this.mean.length / 3
    this.start = whole('expression_start')
    this.vertex = whole('expression_vertex')
    this.delta = real('expression_delta')
    /** (V,) place of each vertex @readonly */
    this.source = whole('source')
    /** (T, 3) vertices, front sides clockwise as seen @readonly */
    this.triangles = Uint16Array.from(file.tensors.triangles.data)
    /** (V, 2) UV coordinates, v downwards @readonly */
    this.uv = real('uv')
    /** (G,) 1 where a place turns with the head, 0 where it stays with the chest */
    this.follow = real('follow')
    /** @type {string[]} ARKit names @readonly */
    this.names = JSON.parse(file.metadata.expression_names)
  }

  /**
   * Fetch the mesh that lies beside the scripts.
   *
   * @param {string | URL} [url]
   * @returns {Promise<HeadMesh>}
   */
  static async load(url = new URL('../data/head.safetensors', import.meta.url)) {
    const answer = await fetch(url)
    if (!answer.ok) throw new Error(`head not loaded (${answer.status} ${answer.statusText})`)
    return new HeadMesh(parseSafetensors(await answer.arrayBuffer(), TENSORS))
  }

  /**
   * A person's places with an expression, in the head frame.
   *
   * @param {Float32Array} neutral (G, 3)
   * @param {ArrayLike<number>} expression ARKit coefficients in the order of `names`
   * @param {Float32Array} out (G, 3)
   * @param {import('./head_person.js').Own[]} [own] what the person's expressions add
   * @returns {Float32Array}
   */
  expressed(neutral, expression, out, own = []) {
    out.set(neutral)
    for (let k = 0; k < this.names.length; k++) {
      const c = expression[k]
      if (!c) continue
      for (let row = this.start[k]; row < this.start[k + 1]; row++) {
        const at = 3 * this.vertex[row]
        out[at] += c * this.delta[3 * row]
        out[at + 1] += c * this.delta[3 * row + 1]
        out[at + 2] += c * this.delta[3 * row + 2]
      }
    }
    for (const { name, places, delta } of own) {
      const c = expression[this.names.indexOf(name)]
      if (!c) continue
      for (let row = 0; row < delta.length; row++) out[3 * places[Math.floor(row / 3)] + (row % 3)] += c * delta[row]
    }
    return out
  }

  /**
   * Turn a head; the neck bends, so that the chest turns less.
   *
   * @param {Float32Array} places (G, 3) head frame
   * @param {[number, number, number]} pose yaw, pitch, roll in degrees
   * @param {Float32Array} out (G, 3)
   * @returns {Float32Array} camera frame: x right, y up, z towards the viewer
   */
  posed(places, pose, out) {
    const head = rotation(...pose)
    const chest = rotation(pose[0] * CHEST_SHARE[0], pose[1] * CHEST_SHARE[1], pose[2] * CHEST_SHARE[2])
    const pivot = Float32Array.from(NECK_PIVOT)
    const [turned, still] = [rotate(pivot, head), rotate(pivot, chest)]
    rotate(places, head, out)
    for (let g = 0, i = 0; g < this.places; g++, i += 3) {
      const stays = 1 - this.follow[g]
      if (!stays) continue
      const [x, y, z] = [places[i], places[i + 1], places[i + 2]]
      for (let row = 0; row < 3; row++) {
        const chestward = chest[3 * row] * x + chest[3 * row + 1] * y + chest[3 * row + 2] * z - still[row] + turned[row]
        out[i + row] += stays * (chestward - out[i + row])
      }
    }
    return out
  }

  /**
   * Places as the mesh's vertices.
   *
   * @param {Float32Array} places (G, 3)
   * @param {Float32Array} [out] (V, 3)
   * @returns {Float32Array}
   */
  vertices(places, out = new Float32Array(3 * this.source.length)) {
    for (let v = 0, i = 0; v < this.source.length; v++, i += 3) {
      const at = 3 * this.source[v]
      out[i] = places[at]
      out[i + 1] = places[at + 1]
      out[i + 2] = places[at + 2]
    }
    return out
  }

  /**
   * Outward unit normals, smooth over the texture's cuts.
   *
   * @param {Float32Array} places (G, 3)
   * @returns {Float32Array} (V, 3)
   */
  normals(places) {
    const total = new Float32Array(3 * this.places)
    const { triangles, source } = this
    for (let t = 0; t < triangles.length; t += 3) {
      const [a, b, c] = [3 * source[triangles[t]], 3 * source[triangles[t + 1]], 3 * source[triangles[t + 2]]]
      const [ux, uy, uz] = [places[c] - places[a], places[c + 1] - places[a + 1], places[c + 2] - places[a + 2]]
      const [vx, vy, vz] = [places[b] - places[a], places[b + 1] - places[a + 1], places[b + 2] - places[a + 2]]
      const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx]
      for (const corner of [a, b, c]) {
        for (let row = 0; row < 3; row++) total[corner + row] += n[row]
      }
    }
    for (let i = 0; i < total.length; i += 3) {
      const length = Math.hypot(total[i], total[i + 1], total[i + 2]) || 1
      for (let row = 0; row < 3; row++) total[i + row] /= length
    }
    return this.vertices(total)
  }
}

/** @type {Promise<HeadMesh> | null} */
let shared = null

/** The mesh, fetched once for all nodes and only when a person is shown. @returns {Promise<HeadMesh>} */
export function headMesh() {
  shared ??= HeadMesh.load().catch((error) => {
    shared = null
    throw error
  })
  return shared
}
