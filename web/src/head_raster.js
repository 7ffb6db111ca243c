// @ts-check
/** Draws a textured head without WebGL: nearest texels, coarser than the display while it moves. */
import { project, rotation } from './camera.js'

/** Cosines between which a surface seen from the side becomes solid; as in `head/render.py`. */
const [CLEAR, SOLID] = [0.15, 0.5]

/** @param {import('./head_person.js').HeadPerson} person @returns {ImageData} */
function pixelsOf({ texture }) {
  const canvas = document.createElement('canvas')
  canvas.width = texture.width
  canvas.height = texture.height
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }))
  ctx.drawImage(texture, 0, 0)
  return ctx.getImageData(0, 0, texture.width, texture.height)
}

export class HeadRaster {
  /** @param {import('./head_mesh.js').HeadMesh} mesh */
  constructor(mesh) {
    this.mesh = mesh
    this.lost = false
    this.canvas = document.createElement('canvas')
    this.lids = { side: 1, top: 0, rows: 0 }
    this.shut = [0, 0]
    this.image = new ImageData(1, 1)
    this.depth = new Float32Array(1)
    this.projected = new Float32Array(3 * mesh.source.length)
    /** @type {WeakMap<import('./head_person.js').HeadPerson, { texels: ImageData, normals: Float32Array }>} */
    this.people = new WeakMap()
  }

  /**
   * @param {import('./head_person.js').HeadPerson} person
   * @param {Float32Array} vertices (V, 3) posed, camera frame
   * @param {[number, number, number]} pose degrees
   * @param {import('./camera.js').Placement} place px of the picture
   * @param {number} width px
   * @param {number} height px
   * @param {[number, number]} shut how far closed lids are mixed in, right and left
   * @returns {HTMLCanvasElement} the picture, valid until the next call
   */
  draw(person, vertices, pose, place, width, height, shut) {
    if (this.image.width !== width || this.image.height !== height) {
      this.canvas.width = width
      this.canvas.height = height
      this.image = new ImageData(width, height)
      this.depth = new Float32Array(width * height)
    }
    let known = this.people.get(person)
    if (!known) this.people.set(person, (known = { texels: pixelsOf(person), normals: this.mesh.normals(person.places) }))
    this.lids = person.lids
    this.shut = shut
    this.image.data.fill(0)
    this.depth.fill(-1e9)
    project(vertices, place, this.projected)
    const alphas = this.facing(known.normals, rotation(...pose))
    const { triangles } = this.mesh
    for (let t = 0; t < triangles.length; t += 3) {
      this.triangle(triangles[t], triangles[t + 1], triangles[t + 2], known.texels, alphas)
    }
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'))
    ctx.putImageData(this.image, 0, 0)
    return this.canvas
  }

  /**
   * @param {Float32Array} normals (V, 3) of the neutral head
   * @param {number[]} r rotation matrix
   * @returns {Float32Array} (V,) how solid each vertex is, 0..1
   */
  facing(normals, r) {
    const solid = new Float32Array(normals.length / 3)
    for (let v = 0, i = 0; v < solid.length; v++, i += 3) {
      const cosine = r[6] * normals[i] + r[7] * normals[i + 1] + r[8] * normals[i + 2]
      solid[v] = Math.min(1, Math.max(0, (cosine - CLEAR) / (SOLID - CLEAR)))
    }
    return solid
  }

  /**
   * @param {number} a @param {number} b @param {number} c
   * @param {ImageData} texels
   * @param {Float32Array} solid
   */
  triangle(a, b, c, texels, solid) {
    const p = this.projected
    const ax = p[3 * a], ay = p[3 * a + 1], bx = p[3 * b], by = p[3 * b + 1], cx = p[3 * c], cy = p[3 * c + 1]
    const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    // Clockwise as seen is a positive area with y down.
    if (area < 1e-6) return
    const { width, height } = this.image
    const x0 = Math.max(0, Math.floor(Math.min(ax, bx, cx))), x1 = Math.min(width - 1, Math.ceil(Math.max(ax, bx, cx)))
    const y0 = Math.max(0, Math.floor(Math.min(ay, by, cy))), y1 = Math.min(height - 1, Math.ceil(Math.max(ay, by, cy)))
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        const wb = ((x + 0.5 - ax) * (cy - ay) - (y + 0.5 - ay) * (cx - ax)) / area
        const wc = ((y + 0.5 - ay) * (bx - ax) - (x + 0.5 - ax) * (by - ay)) / area
        const wa = 1 - wb - wc
        if (wa < -1e-4 || wb < -1e-4 || wc < -1e-4) continue
        const z = wa * p[3 * a + 2] + wb * p[3 * b + 2] + wc * p[3 * c + 2]
        if (z > this.depth[y * width + x]) this.pixel(y * width + x, z, [a, b, c], [wa, wb, wc], texels, solid)
      }
    }
  }

  /**
   * @param {number} at index of the pixel
   * @param {number} z
   * @param {number[]} corners
   * @param {number[]} weights
   * @param {ImageData} texels
   * @param {Float32Array} solid
   */
  pixel(at, z, [a, b, c], [wa, wb, wc], texels, solid) {
    const { uv } = this.mesh
    const side = texels.width
    const u = Math.min(side - 1, Math.max(0, (side * (wa * uv[2 * a] + wb * uv[2 * b] + wc * uv[2 * c])) | 0))
    const v = Math.min(side - 1, Math.max(0, (side * (wa * uv[2 * a + 1] + wb * uv[2 * b + 1] + wc * uv[2 * c + 1])) | 0))
    const from = 4 * (v * side + u)
    const opacity = texels.data[from + 4 * side * side] / 255
    const alpha = Math.min(1, opacity + wa * solid[a] + wb * solid[b] + wc * solid[c])
    if (alpha < 0.03) return
    this.depth[at] = z
    const out = this.image.data
    const closed = v >= this.lids.top && v < this.lids.top + this.lids.rows ? this.shut[u < side / 2 ? 0 : 1] : 0
    const lid = 4 * ((2 * side + v - this.lids.top) * side + u)
    for (let k = 0; k < 3; k++) {
      const open = texels.data[from + k]
      out[4 * at + k] = closed ? open + closed * (texels.data[lid + k] - open) : open
    }
    out[4 * at + 3] = 255 * alpha
  }
}
