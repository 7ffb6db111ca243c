// @ts-check
/** Draws one face into a rectangle of a canvas. */
import * as anatomy from './anatomy.js'
import { project, rotate, rotation } from './camera.js'
import { FaceMesh } from './mesh.js'
import { Raster } from './raster.js'

/**
 * What is to be drawn.
 *
 * @typedef {object} Face
 * @property {Float32Array} points (72, 3) head frame, not yet posed
 * @property {ArrayLike<number>} [expression] ARKit coefficients, for the textured head
 * @property {[number, number, number]} pose yaw, pitch, roll in degrees
 * @property {import('./camera.js').Placement} placement in px of the picture that will be made
 */

/**
 * @typedef {object} Theme colours of ComfyUI's current theme, as CSS
 * @property {string} background
 * @property {string} text
 * @property {string} muted
 * @property {string} line
 * @property {string} accent
 */

/** @typedef {'photo' | 'clay' | 'lines' | 'both'} Style */

/**
 * @typedef {object} ViewOptions
 * @property {Style} style
 * @property {import('./head_view.js').HeadView | null} [head] the person, who is drawn instead of clay
 * @property {number} [highlight] landmark to ring
 * @property {string} [caption] text at the top left
 * @property {boolean} [draft] coarser, while it moves
 */

/** Colours of the landmark lines, as in the drawing that conditions the model: one per part. */
const LINE_COLOURS = [
  'rgb(150,150,150)', 'rgb(255,140,0)', 'rgb(255,220,0)', 'rgb(0,170,90)', 'rgb(0,220,150)',
  'rgb(70,120,255)', 'rgb(0,210,255)', 'rgb(255,40,60)', 'rgb(255,60,220)'
]

/** The render's pixels per CSS pixel; 2 smooths edges, more would only cost time. */
const OVERSAMPLING = 2
/** Largest side of the render, px. */
const LARGEST = 640

/** Draws one face into one rectangle of a canvas. */
export class FaceView {
  /** @param {import('./face_model.js').FaceModel} model */
  constructor(model) {
    this.mesh = new FaceMesh(model)
    this.rotated = new Float32Array(72 * 3)
    /** Projected landmarks in CSS px of the canvas, after `draw`. */
    this.projected = new Float32Array(72 * 3)
    this.surface = new Float32Array(this.mesh.surface.positions.length)
    /** @type {Raster | null} */
    this.raster = null
    this.buffer = document.createElement('canvas')
    /** CSS px per px of the picture, and the picture's top left corner; after `draw`. */
    this.fit = { scale: 1, x: 0, y: 0 }
  }

  /**
   * @param {CanvasRenderingContext2D} ctx scaled to CSS px
   * @param {{ x: number, y: number, width: number, height: number }} area CSS px
   * @param {{ width: number, height: number }} picture px
   * @param {Face} face
   * @param {Theme} theme
   * @param {ViewOptions} options
   */
  draw(ctx, area, picture, face, theme, options) {
    const margin = Math.min(10, area.width * 0.04)
    const scale = Math.min((area.width - 2 * margin) / picture.width, (area.height - 2 * margin) / picture.height)
    const fit = {
      scale,
      x: area.x + (area.width - picture.width * scale) / 2,
      y: area.y + (area.height - picture.height * scale) / 2
    }
    this.fit = fit
    const frame = { x: fit.x, y: fit.y, width: picture.width * scale, height: picture.height * scale }
    ctx.save()
    roundRectangle(ctx, frame.x, frame.y, frame.width, frame.height, 6)
    ctx.fillStyle = backdrop(ctx, frame, theme)
    ctx.fill()
    ctx.clip()

    rotate(face.points, rotation(...face.pose), this.rotated)
    const place = {
      cx: face.placement.cx * scale + fit.x,
      cy: face.placement.cy * scale + fit.y,
      scale: face.placement.scale * scale
    }
    project(this.rotated, place, this.projected)
    this.drawBody(ctx, frame, place, face, options)
    if (options.style === 'lines' || options.style === 'both') {
      this.drawLines(ctx, options.style === 'lines' ? 1 : 0.75, place.scale)
    }
    if (options.highlight !== undefined) this.drawHandle(ctx, options.highlight, theme)
    ctx.restore()

    ctx.save()
    roundRectangle(ctx, frame.x, frame.y, frame.width, frame.height, 6)
    ctx.strokeStyle = theme.line
    ctx.lineWidth = 1
    ctx.stroke()
    if (options.caption) {
      ctx.font = '11px system-ui, sans-serif'
      ctx.fillStyle = theme.muted
      ctx.textBaseline = 'top'
      ctx.fillText(options.caption, frame.x + 8, frame.y + 7)
    }
    ctx.restore()
  }

  /**
   * The person's head, or clay where there is none.
   *
   * @param {CanvasRenderingContext2D} ctx
   * @param {{ x: number, y: number, width: number, height: number }} frame
   * @param {import('./camera.js').Placement} place
   * @param {Face} face
   * @param {ViewOptions} options
   */
  drawBody(ctx, frame, place, face, options) {
    if (options.style === 'lines') return
    if (options.head && options.style !== 'clay') {
      options.head.draw(ctx, frame, place, face.pose, face.expression ?? [], Boolean(options.draft))
    } else {
      this.drawClay(ctx, frame, place, options.draft ? 1 : OVERSAMPLING)
    }
  }

  /**
   * Where one landmark of a face would be drawn.
   *
   * @param {Face} face
   * @param {number} point
   * @returns {[number, number]} CSS px of the canvas
   */
  locate(face, point) {
    const one = rotate(face.points.subarray(3 * point, 3 * point + 3), rotation(...face.pose))
    const [x, y] = project(one, face.placement)
    return [x * this.fit.scale + this.fit.x, y * this.fit.scale + this.fit.y]
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {{ x: number, y: number, width: number, height: number }} frame
   * @param {import('./camera.js').Placement} place
   * @param {number} finest
   */
  drawClay(ctx, frame, place, finest) {
    const density = Math.min(finest, LARGEST / Math.max(frame.width, frame.height))
    const [width, height] = [Math.max(1, Math.round(frame.width * density)), Math.max(1, Math.round(frame.height * density))]
    if (!this.raster || this.raster.width !== width || this.raster.height !== height) {
      this.raster = new Raster(width, height)
      this.buffer.width = width
      this.buffer.height = height
    }
    const local = {
      cx: (place.cx - frame.x) * density,
      cy: (place.cy - frame.y) * density,
      scale: place.scale * density
    }
    const surface = this.mesh.build(this.rotated)
    project(surface.positions, local, this.surface)
    const pupil = (/** @type {number} */ i) => [
      (this.projected[3 * i] - frame.x) * density,
      (this.projected[3 * i + 1] - frame.y) * density
    ]
    this.raster.clear()
    this.raster.draw(surface, this.surface, {
      right: pupil(anatomy.PUPIL_RIGHT),
      left: pupil(anatomy.PUPIL_LEFT),
      scale: local.scale
    })
    const target = /** @type {CanvasRenderingContext2D} */ (this.buffer.getContext('2d'))
    target.putImageData(this.raster.image, 0, 0)
    // A mean of four; better filters cost more than all the rest.
    ctx.imageSmoothingQuality = 'low'
    ctx.drawImage(this.buffer, frame.x, frame.y, frame.width, frame.height)
    this.drawLids(ctx, place.scale)
  }

  /**
   * Lash lines and the line between the lips.
   *
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} scale CSS px per interocular distance
   */
  drawLids(ctx, scale) {
    const p = this.projected
    ctx.lineCap = 'round'
    ctx.lineJoin = 'round'
    // Outer corner, brow, inner corner (and the mirror image): an eye that is shut has no area of its own.
    for (const [eye, socket] of /** @type {const} */ ([
      [anatomy.EYE_RIGHT, [36, 19, 39]],
      [anatomy.EYE_LEFT, [42, 24, 45]]
    ])) {
      if (!facesViewer(p, socket)) continue
      ctx.strokeStyle = 'rgba(58, 42, 36, 0.9)'
      ctx.lineWidth = Math.max(0.8, 0.03 * scale)
      smoothPath(ctx, p, eye.slice(0, 4), false)
      ctx.stroke()
      ctx.strokeStyle = 'rgba(90, 66, 58, 0.5)'
      ctx.lineWidth = Math.max(0.5, 0.012 * scale)
      smoothPath(ctx, p, [eye[3], eye[4], eye[5], eye[0]], false)
      ctx.stroke()
    }
    ctx.fillStyle = 'rgba(84, 52, 46, 0.55)'
    for (const [a, b, brow] of [[31, 32, 17], [35, 34, 26]]) {
      // A nostril turned away lies behind the tip of the nose.
      if (p[3 * brow + 2] < p[3 * 30 + 2] - 2.2 * scale) continue
      const [x, y] = [(p[3 * a] + p[3 * b]) / 2, (p[3 * a + 1] + p[3 * b + 1]) / 2]
      ctx.beginPath()
      ctx.ellipse(x, y, 0.05 * scale, 0.026 * scale, Math.atan2(p[3 * b + 1] - p[3 * a + 1], p[3 * b] - p[3 * a]), 0, 7)
      ctx.fill()
    }
  }

  /**
   * The 72 points and their lines.
   *
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} alpha
   * @param {number} scale CSS px per interocular distance
   */
  drawLines(ctx, alpha, scale) {
    const p = this.projected
    ctx.globalAlpha = alpha
    ctx.lineJoin = 'round'
    ctx.lineWidth = Math.max(1, 0.02 * scale)
    anatomy.LINES.forEach(({ points, closed }, i) => {
      ctx.strokeStyle = LINE_COLOURS[i]
      ctx.beginPath()
      points.forEach((at, k) => (k ? ctx.lineTo(p[3 * at], p[3 * at + 1]) : ctx.moveTo(p[3 * at], p[3 * at + 1])))
      if (closed) ctx.closePath()
      ctx.stroke()
    })
    ctx.fillStyle = '#ffffff'
    const r = Math.max(0.9, 0.017 * scale)
    for (let i = 0; i < 72; i++) {
      ctx.beginPath()
      ctx.arc(p[3 * i], p[3 * i + 1], i >= 68 ? r * 1.4 : r, 0, 2 * Math.PI)
      ctx.fill()
    }
    ctx.globalAlpha = 1
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} point
   * @param {Theme} theme
   */
  drawHandle(ctx, point, theme) {
    const [x, y] = [this.projected[3 * point], this.projected[3 * point + 1]]
    ctx.beginPath()
    ctx.arc(x, y, 7, 0, 2 * Math.PI)
    ctx.fillStyle = 'rgba(255, 255, 255, 0.35)'
    ctx.fill()
    ctx.lineWidth = 2
    ctx.strokeStyle = theme.accent
    ctx.stroke()
  }
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {{ x: number, y: number, width: number, height: number }} frame
 * @param {Theme} theme
 */
function backdrop(ctx, frame, theme) {
  const [x, y] = [frame.x + frame.width / 2, frame.y + frame.height * 0.42]
  const gradient = ctx.createRadialGradient(x, y, 0, x, y, 0.75 * Math.max(frame.width, frame.height))
  gradient.addColorStop(0, `color-mix(in srgb, ${theme.background} 82%, ${theme.text})`)
  gradient.addColorStop(1, theme.background)
  return gradient
}

/**
 * @param {Float32Array} p
 * @param {readonly number[]} ring
 * @returns {boolean} whether a ring of landmarks that runs clockwise in a frontal view still does
 */
function facesViewer(p, ring) {
  let area = 0
  ring.forEach((a, i) => {
    const b = ring[(i + 1) % ring.length]
    area += p[3 * a] * p[3 * b + 1] - p[3 * b] * p[3 * a + 1]
  })
  return area > 0
}

/**
 * Quadratic curve through landmarks.
 *
 * @param {CanvasRenderingContext2D} ctx
 * @param {Float32Array} p
 * @param {number[]} points
 * @param {boolean} closed
 */
function smoothPath(ctx, p, points, closed) {
  const at = (/** @type {number} */ i) => [p[3 * points[i]], p[3 * points[i] + 1]]
  ctx.beginPath()
  ctx.moveTo(at(0)[0], at(0)[1])
  for (let i = 0; i + 1 < points.length; i++) {
    const before = at(Math.max(0, i - 1)), a = at(i), b = at(i + 1), after = at(Math.min(points.length - 1, i + 2))
    ctx.bezierCurveTo(
      a[0] + (b[0] - before[0]) / 6, a[1] + (b[1] - before[1]) / 6,
      b[0] - (after[0] - a[0]) / 6, b[1] - (after[1] - a[1]) / 6,
      b[0], b[1]
    )
  }
  if (closed) ctx.closePath()
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x @param {number} y @param {number} width @param {number} height @param {number} radius
 */
function roundRectangle(ctx, x, y, width, height, radius) {
  ctx.beginPath()
  ctx.roundRect(x, y, width, height, radius)
}
