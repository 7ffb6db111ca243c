// @ts-check
/**
 * The surface that is drawn: the model's 124 triangles, rounded off and given a forehead, with
 * lips, eyes, brows and the inside of the mouth as parts of their own. All of it is computed from
 * the 72 points; nothing here moves a landmark.
 */
import * as anatomy from './anatomy.js'

export const SKIN = 0
export const LIP = 1
export const MOUTH = 2
export const EYE_R = 3
export const EYE_L = 4
export const BROW = 5

/** How many pieces the edge of a skin or lip triangle is cut into. */
const PIECES = 3
/** How round a piece becomes: 0 flat, 1 full Phong tessellation. */
const ROUNDNESS = 0.7
/** Brows stand out this far and are this thick, in interocular distances. */
const BROW_LIFT = 0.03
const BROW_THICKNESS = [0.052, 0.075, 0.07, 0.055, 0.018]

/** Points of the forehead's edge: a point plus weighted differences of points. */
const P = 72
/** @type {[number, [number, number, number][]][]} */
const EXTRA_POINTS = [
  [17, [[0.42, 71, 70], [0.3, 0, 17]]],
  [18, [[0.72, 71, 70], [0.3, 0, 17]]],
  [19, [[0.9, 71, 70], [0.1, 0, 17]]],
  [26, [[0.42, 71, 70], [0.3, 16, 26]]],
  [25, [[0.72, 71, 70], [0.3, 16, 26]]],
  [24, [[0.9, 71, 70], [0.1, 16, 26]]]
]
const FOREHEAD_TRIANGLES = [
  [0, P, 17], [17, P, 18], [P, P + 1, 18], [18, P + 1, 19], [P + 1, P + 2, 19], [19, P + 2, 20],
  [P + 2, 71, 20], [20, 71, 21], [21, 71, 70],
  [16, 26, P + 3], [26, 25, P + 3], [P + 3, 25, P + 4], [25, 24, P + 4], [P + 4, 24, P + 5],
  [24, 23, P + 5], [P + 5, 23, 71], [23, 22, 71], [22, 70, 71]
]

/** @param {number[]} triangle @param {Set<number>} set */
const within = (triangle, set) => triangle.every((i) => set.has(i))

/** @typedef {{ indices: number[], parts: number[] }} Faces while they are collected: (T, 3) and (T,) */

/**
 * @typedef {object} Surface
 * @property {Float32Array} positions (V, 3)
 * @property {Float32Array} normals (V, 3), unit length
 * @property {Uint16Array} indices (T, 3), grouped by part
 * @property {Uint8Array} parts (T,) SKIN, LIP, ...
 */

/**
 * The model's triangles that are drawn as skin, and the forehead's.
 *
 * @param {import('./face_model.js').FaceModel} model
 * @returns {number[][]}
 */
function skinTriangles(model) {
  const eyes = [
    new Set([...anatomy.EYE_RIGHT, anatomy.PUPIL_RIGHT]),
    new Set([...anatomy.EYE_LEFT, anatomy.PUPIL_LEFT])
  ]
  const mouth = new Set([...anatomy.LIPS_OUTER, ...anatomy.LIPS_INNER])
  const brow = new Set([...anatomy.BROW_RIGHT, ...anatomy.BROW_LEFT, anatomy.FOREHEAD, anatomy.GLABELLA])
  /** @type {number[][]} */
  const skin = []
  for (let t = 0; t < model.triangles.length; t += 3) {
    const triangle = [...model.triangles.subarray(t, t + 3)]
    const replaced =
      triangle.includes(anatomy.FOREHEAD) ||
      triangle.includes(anatomy.PUPIL_LEFT) || triangle.includes(anatomy.PUPIL_RIGHT) ||
      within(triangle, mouth) || within(triangle, brow) || eyes.some((eye) => within(triangle, eye))
    if (!replaced) skin.push(triangle)
  }
  return [...skin, ...FOREHEAD_TRIANGLES]
}

/** Builds the surface of a face again and again without allocating. */
export class FaceMesh {
  /** @param {import('./face_model.js').FaceModel} model */
  constructor(model) {
    this.control = new Float32Array((P + EXTRA_POINTS.length) * 3)
    this.controlNormals = new Float32Array(this.control.length)
    const open = model.names.map((name) => (name === 'jawOpen' ? 0.6 : 0))
    this.extend(model.points([], open))
    const reference = this.control
    this.skin = orient(skinTriangles(model), reference)
    this.lips = orient(anatomy.LIP_TRIANGLES, reference)

    /** @type {{ corners: number[], weights: [number, number, number] }[]} */
    this.vertices = []
    /** @type {Faces} */
    const faces = { indices: [], parts: [] }
    this.split(faces, this.skin, SKIN)
    this.split(faces, this.lips, LIP)
    this.split(faces, orient(anatomy.MOUTH_TRIANGLES, reference), MOUTH, 1)
    this.split(faces, orient(anatomy.EYE_TRIANGLES[0], reference), EYE_R, 1)
    this.split(faces, orient(anatomy.EYE_TRIANGLES[1], reference), EYE_L, 1)
    this.browStart = this.vertices.length
    this.addBrows(faces)
    const total = this.browStart + 2 * 2 * 5
    /** @type {Surface} */
    this.surface = {
      positions: new Float32Array(total * 3),
      normals: new Float32Array(total * 3),
      indices: Uint16Array.from(faces.indices),
      parts: Uint8Array.from(faces.parts)
    }
  }

  /**
   * Divide triangles of control points into smaller ones, whose corners are computed by `build`.
   *
   * @param {Faces} faces added to
   * @param {number[][]} triangles
   * @param {number} part
   * @param {number} pieces along each edge
   */
  split({ indices, parts }, triangles, part, pieces = PIECES) {
    for (const corners of triangles) {
      const first = this.vertices.length
      const row = (/** @type {number} */ i) => first + (i * (2 * pieces + 3 - i)) / 2
      for (let i = 0; i <= pieces; i++) {
        for (let j = 0; j <= pieces - i; j++) {
          this.vertices.push({ corners, weights: [1 - (i + j) / pieces, i / pieces, j / pieces] })
        }
      }
      for (let i = 0; i < pieces; i++) {
        for (let j = 0; j < pieces - i; j++) {
          indices.push(row(i) + j, row(i + 1) + j, row(i) + j + 1)
          parts.push(part)
          if (j < pieces - i - 1) {
            indices.push(row(i + 1) + j, row(i + 1) + j + 1, row(i) + j + 1)
            parts.push(part)
          }
        }
      }
    }
  }

  /** Two strips above the skin. @param {Faces} faces added to */
  addBrows({ indices, parts }) {
    const strips = [anatomy.BROW_RIGHT, anatomy.BROW_LEFT]
    strips.forEach((strip, s) => {
      const first = this.browStart + s * strip.length * 2
      for (let i = 0; i + 1 < strip.length; i++) {
        const [a, b, c, d] = [0, 1, 2, 3].map((k) => first + 2 * i + k)
        // The right brow is walked from the nose outwards too, which is the other way round.
        if (s === 0) indices.push(a, c, b, b, c, d)
        else indices.push(a, b, c, b, d, c)
        parts.push(BROW, BROW)
      }
    })
  }

  /**
   * @param {Float32Array} points (72, 3) in the head frame, posed or not
   * @returns {Surface} valid until the next call
   */
  build(points) {
    const { control, controlNormals, surface } = this
    this.extend(points)
    vertexNormals(control, [this.skin, this.lips], controlNormals)
    const { positions, normals } = surface
    this.vertices.forEach(({ corners, weights }, v) => {
      phongPoint(control, controlNormals, corners, weights, positions, normals, 3 * v)
    })
    this.brows(positions, normals)
    return surface
  }

  /**
   * Take over the landmarks and add the forehead's edge.
   *
   * @param {Float32Array} points (72, 3)
   */
  extend(points) {
    this.control.set(points)
    EXTRA_POINTS.forEach(([base, terms], e) => {
      for (let k = 0; k < 3; k++) {
        let value = points[3 * base + k]
        for (const [w, a, b] of terms) value += w * (points[3 * a + k] - points[3 * b + k])
        this.control[3 * (P + e) + k] = value
      }
    })
  }

  /** @param {Float32Array} positions @param {Float32Array} normals */
  brows(positions, normals) {
    const { control, controlNormals } = this
    const up = [0, 1, 2].map((k) => control[3 * anatomy.FOREHEAD + k] - control[3 * anatomy.GLABELLA + k])
    const length = Math.hypot(...up) || 1
    const strips = [[...anatomy.BROW_RIGHT].reverse(), anatomy.BROW_LEFT]
    let v = this.browStart * 3
    for (const strip of strips) {
      strip.forEach((point, i) => {
        for (const side of [0.7, -1]) {
          for (let k = 0; k < 3; k++) {
            const n = controlNormals[3 * point + k]
            positions[v + k] =
              control[3 * point + k] + n * BROW_LIFT + (side * BROW_THICKNESS[i] * up[k]) / length
            normals[v + k] = n
          }
          v += 3
        }
      })
    }
  }
}

/**
 * Turn all triangles the same way round, front to the viewer of a frontal face.
 *
 * @param {number[][]} triangles
 * @param {Float32Array} reference (72 + extra, 3), with open eyes and mouth
 * @returns {number[][]}
 */
function orient(triangles, reference) {
  return triangles.map((t) => {
    const [a, b, c] = t.map((i) => [reference[3 * i], reference[3 * i + 1]])
    const area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return area < 0 ? [t[0], t[2], t[1]] : t
  })
}

/**
 * @param {Float32Array} points
 * @param {number[][][]} groups
 * @param {Float32Array} out
 */
function vertexNormals(points, groups, out) {
  out.fill(0)
  for (const group of groups) {
    for (const [a, b, c] of group) {
      const [ax, ay, az] = [points[3 * a], points[3 * a + 1], points[3 * a + 2]]
      const [ux, uy, uz] = [points[3 * b] - ax, points[3 * b + 1] - ay, points[3 * b + 2] - az]
      const [vx, vy, vz] = [points[3 * c] - ax, points[3 * c + 1] - ay, points[3 * c + 2] - az]
      const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx]
      for (const i of [a, b, c]) for (let k = 0; k < 3; k++) out[3 * i + k] += n[k]
    }
  }
  for (let i = 0; i < out.length; i += 3) {
    const length = Math.hypot(out[i], out[i + 1], out[i + 2]) || 1
    for (let k = 0; k < 3; k++) out[i + k] /= length
  }
}

/**
 * A point of a triangle, pulled towards the tangent planes of its corners (Phong tessellation).
 *
 * @param {Float32Array} points
 * @param {Float32Array} normals
 * @param {number[]} corners
 * @param {number[]} weights
 * @param {Float32Array} outPoint
 * @param {Float32Array} outNormal
 * @param {number} at
 */
function phongPoint(points, normals, corners, weights, outPoint, outNormal, at) {
  let x = 0, y = 0, z = 0, nx = 0, ny = 0, nz = 0
  for (let c = 0; c < 3; c++) {
    const i = 3 * corners[c], w = weights[c]
    x += w * points[i]; y += w * points[i + 1]; z += w * points[i + 2]
    nx += w * normals[i]; ny += w * normals[i + 1]; nz += w * normals[i + 2]
  }
  let dx = 0, dy = 0, dz = 0
  for (let c = 0; c < 3; c++) {
    const i = 3 * corners[c], w = weights[c]
    const away =
      (points[i] - x) * normals[i] + (points[i + 1] - y) * normals[i + 1] + (points[i + 2] - z) * normals[i + 2]
    dx += w * away * normals[i]; dy += w * away * normals[i + 1]; dz += w * away * normals[i + 2]
  }
  outPoint[at] = x + ROUNDNESS * dx
  outPoint[at + 1] = y + ROUNDNESS * dy
  outPoint[at + 2] = z + ROUNDNESS * dz
  const length = Math.hypot(nx, ny, nz) || 1
  outNormal[at] = nx / length
  outNormal[at + 1] = ny / length
  outNormal[at + 2] = nz / length
}
