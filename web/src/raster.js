// @ts-check
/** A small software renderer: browsers limit the number of WebGL contexts. */
import { BROW, EYE_L, EYE_R, LIP, MOUTH, SKIN } from './mesh.js'

/** @typedef {[number, number, number]} Colour 0..255 */

/** @type {Record<number, Colour>} */
const ALBEDO = {
  [SKIN]: [214, 190, 174],
  [LIP]: [196, 128, 120],
  [MOUTH]: [58, 26, 28],
  [EYE_R]: [236, 233, 228],
  [EYE_L]: [236, 233, 228],
  [BROW]: [92, 72, 62]
}
const IRIS = [88, 112, 124]
const IRIS_RADIUS = 0.098
const PUPIL_RADIUS = 0.042

const unit = (/** @type {number[]} */ v) => v.map((x) => x / Math.hypot(...v))
const KEY = unit([-0.5, 0.62, 0.72])
const RIM = unit([0.95, 0.15, 0.05])

/** Depth, in interocular distances, by which the fine parts lie in front of the skin. */
/** @type {Record<number, number>} */
const BIAS = { [SKIN]: 0, [LIP]: 0.02, [MOUTH]: -0.02, [EYE_R]: 0.004, [EYE_L]: 0.004, [BROW]: 0.05 }

/**
 * Shade of a surface that faces `n`.
 *
 * @param {number} nx @param {number} ny @param {number} nz
 * @param {Colour} c
 * @param {number} shine
 * @param {Uint8ClampedArray} out @param {number} at
 */
function shade(nx, ny, nz, c, shine, out, at) {
  const key = nx * KEY[0] + ny * KEY[1] + nz * KEY[2]
  // Wrapped light: skin has no hard terminator.
  const lit = Math.max(0, (key + 0.35) / 1.35)
  const rim = Math.max(0, nx * RIM[0] + ny * RIM[1] + nz * RIM[2]) * Math.max(0, 1 - nz) * 0.5
  const fill = 0.2 + 0.12 * Math.max(0, ny * 0.5 + 0.5)
  const half = Math.max(0, (nx * KEY[0] + ny * KEY[1] + nz * (KEY[2] + 1)) / 1.855)
  const spec = shine * half ** 24
  out[at] = c[0] * (fill * 0.92 + lit * 0.86) + 70 * rim + spec
  out[at + 1] = c[1] * (fill * 0.95 + lit * 0.82) + 90 * rim + spec
  out[at + 2] = c[2] * (fill * 1.1 + lit * 0.78) + 120 * rim + spec
  out[at + 3] = 255
}

/** Side of the tables of shades, by the direction that a surface faces. */
const SHADES = 256
/** @type {Map<number, Uint32Array>} */
const shades = new Map()

/**
 * Shades of a part for every direction towards the viewer, as RGBA in one number.
 *
 * @param {number} part
 * @returns {Uint32Array} (SHADES, SHADES) by y and x of the normal
 */
function shadesOf(part) {
  let table = shades.get(part)
  if (!table) {
    const colours = new Uint8ClampedArray(4 * SHADES * SHADES)
    const shine = part === LIP ? 46 : part === SKIN ? 26 : 0
    for (let j = 0, at = 0; j < SHADES; j++) {
      for (let i = 0; i < SHADES; i++, at += 4) {
        const nx = (2 * i) / (SHADES - 1) - 1
        const ny = (2 * j) / (SHADES - 1) - 1
        const nz = Math.sqrt(Math.max(0, 1 - nx * nx - ny * ny))
        shade(nx, ny, nz, ALBEDO[part], shine, colours, at)
      }
    }
    table = new Uint32Array(colours.buffer)
    shades.set(part, table)
  }
  return table
}

export class Raster {
  /** @param {number} width px @param {number} height px */
  constructor(width, height) {
    this.width = width
    this.height = height
    this.image = new ImageData(width, height)
    this.pixels = new Uint32Array(this.image.data.buffer)
    this.depth = new Float32Array(width * height)
  }

  clear() {
    this.pixels.fill(0)
    this.depth.fill(-1e9)
  }

  /**
   * Draw a surface.
   *
   * @param {import('./mesh.js').Surface} surface rotated, for its normals
   * @param {Float32Array} projected (V, 3) px
   * @param {{ right: number[], left: number[], scale: number }} eyes projected pupils (x, y), px per interocular distance
   */
  draw(surface, projected, eyes) {
    const { indices, parts } = surface
    for (let t = 0; t < parts.length; t++) {
      const part = parts[t]
      this.triangle(indices[3 * t], indices[3 * t + 1], indices[3 * t + 2], part, surface.normals, projected, eyes)
    }
  }

  /**
   * @param {number} a @param {number} b @param {number} c
   * @param {number} part
   * @param {Float32Array} normals
   * @param {Float32Array} p
   * @param {{ right: number[], left: number[], scale: number }} eyes
   */
  triangle(a, b, c, part, normals, p, eyes) {
    const ia = 3 * a, ib = 3 * b, ic = 3 * c
    const ax = p[ia], ay = p[ia + 1], bx = p[ib], by = p[ib + 1], cx = p[ic], cy = p[ic + 1]
    const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    // Counter-clockwise in a frame with y up is clockwise here: a front side has a negative area.
    if (area > -1e-6) return
    const { width, height, depth, pixels } = this
    const data = this.image.data
    const x0 = Math.max(0, Math.floor(Math.min(ax, bx, cx))), x1 = Math.min(width - 1, Math.ceil(Math.max(ax, bx, cx)))
    const y0 = Math.max(0, Math.floor(Math.min(ay, by, cy))), y1 = Math.min(height - 1, Math.ceil(Math.max(ay, by, cy)))
    if (x0 > x1 || y0 > y1) return
    const inv = 1 / area
    const bias = BIAS[part] * eyes.scale
    const az = p[ia + 2] + bias, bz = p[ib + 2] + bias, cz = p[ic + 2] + bias
    const isEye = part === EYE_R || part === EYE_L
    const pupil = part === EYE_R ? eyes.right : eyes.left
    const table = shadesOf(isEye ? SKIN : part)
    const half = (SHADES - 1) / 2
    const [anx, any] = [normals[ia], normals[ia + 1]]
    const [bnx, bny] = [normals[ib], normals[ib + 1]]
    const [cnx, cny] = [normals[ic], normals[ic + 1]]
    // Barycentric weights grow linearly along a row.
    const wbx = (cy - ay) * inv, wby = -(cx - ax) * inv
    const wcx = -(by - ay) * inv, wcy = (bx - ax) * inv
    for (let y = y0; y <= y1; y++) {
      const py = y + 0.5 - ay
      let wb = (x0 + 0.5 - ax) * wbx + py * wby
      let wc = (x0 + 0.5 - ax) * wcx + py * wcy
      for (let x = x0, at = y * width + x0; x <= x1; x++, at++, wb += wbx, wc += wcx) {
        const wa = 1 - wb - wc
        if (Math.min(wa, wb, wc) < -1e-4) continue
        const z = wa * az + wb * bz + wc * cz
        if (z <= depth[at]) continue
        depth[at] = z
        if (isEye) {
          eyeColour(x + 0.5 - pupil[0], y + 0.5 - pupil[1], eyes.scale, data, 4 * at)
        } else {
          const i = ((wa * anx + wb * bnx + wc * cnx + 1) * half) | 0
          const j = ((wa * any + wb * bny + wc * cny + 1) * half) | 0
          pixels[at] = table[j * SHADES + i]
        }
      }
    }
  }
}

/**
 * White, iris, pupil and a highlight.
 *
 * @param {number} dx px from the pupil's centre
 * @param {number} dy
 * @param {number} scale px per interocular distance
 * @param {Uint8ClampedArray} out
 * @param {number} at
 */
function eyeColour(dx, dy, scale, out, at) {
  const r = Math.hypot(dx, dy) / scale
  const light = Math.hypot(dx + 0.032 * scale, dy + 0.036 * scale) / scale
  let c = [222, 218, 214]
  if (light < 0.02) c = [255, 255, 255]
  else if (r < PUPIL_RADIUS) c = [22, 22, 26]
  else if (r < IRIS_RADIUS) {
    const ring = r > IRIS_RADIUS * 0.86 ? 0.55 : 0.85 + 0.5 * Math.max(0, dy / (scale * IRIS_RADIUS))
    c = [IRIS[0] * ring, IRIS[1] * ring, IRIS[2] * ring]
  } else {
    const dim = Math.max(0.72, 1 - 0.9 * Math.max(0, r - IRIS_RADIUS))
    c = [c[0] * dim, c[1] * dim, c[2] * dim]
  }
  out[at] = c[0]
  out[at + 1] = c[1]
  out[at + 2] = c[2]
  out[at + 3] = 255
}
