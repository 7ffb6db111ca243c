// @ts-check
/** The person's textured head in a rectangle of a canvas, with WebGL where there is some. */
import { HeadGl } from './head_gl.js'
import { headMesh } from './head_mesh.js'
import { shutting } from './head_person.js'
import { HeadRaster } from './head_raster.js'

/** Largest side of the picture, px: with WebGL, without, and without while it moves. */
const LARGEST = { gl: 1200, fine: 560, draft: 200 }

/** @typedef {HeadGl | HeadRaster} Renderer */

/** @type {{ renderer: Renderer | null }} one for all nodes */
const shared = { renderer: null }

/**
 * @param {import('./head_mesh.js').HeadMesh} mesh
 * @returns {Renderer}
 */
function rendererFor(mesh) {
  if (!shared.renderer || shared.renderer.lost) {
    try {
      shared.renderer = HeadGl.create(mesh) ?? new HeadRaster(mesh)
    } catch (error) {
      console.warn('HiFi-Portrait: WebGL does not work here, heads are drawn without it.', error)
      shared.renderer = new HeadRaster(mesh)
    }
  }
  return shared.renderer
}

/** What draws heads on this page; null before the first. For tests. */
export const sharedRenderer = () => shared.renderer

export class HeadView {
  /**
   * @param {import('./head_mesh.js').HeadMesh} mesh
   * @param {import('./head_person.js').HeadPerson} person
   * @param {Renderer} [renderer] for tests; the shared one by default
   * @throws {Error} when the person was made for another mesh
   */
  constructor(mesh, person, renderer) {
    if (person.places.length !== mesh.mean.length) throw new Error('the head was made for another mesh; run again')
    this.mesh = mesh
    this.person = person
    this.renderer = renderer
    this.places = new Float32Array(mesh.mean.length)
    this.turned = new Float32Array(mesh.mean.length)
    this.vertices = new Float32Array(3 * mesh.source.length)
  }

  /**
   * @param {import('./head_person.js').HeadPerson} person
   * @returns {Promise<HeadView>}
   */
  static async of(person) {
    return new HeadView(await headMesh(), person)
  }

  /**
   * @param {CanvasRenderingContext2D} ctx scaled to CSS px
   * @param {{ x: number, y: number, width: number, height: number }} frame CSS px
   * @param {import('./camera.js').Placement} place CSS px of the canvas
   * @param {[number, number, number]} pose degrees
   * @param {ArrayLike<number>} expression ARKit coefficients
   * @param {boolean} draft coarser, while it moves
   */
  draw(ctx, frame, place, pose, expression, draft) {
    const renderer = this.renderer ?? rendererFor(this.mesh)
    const largest = renderer instanceof HeadGl ? LARGEST.gl : draft ? LARGEST.draft : LARGEST.fine
    const density = Math.min(draft ? 1 : 2, largest / Math.max(frame.width, frame.height))
    const [width, height] = [Math.max(1, Math.round(frame.width * density)), Math.max(1, Math.round(frame.height * density))]
    const local = {
      cx: (place.cx - frame.x) * density,
      cy: (place.cy - frame.y) * density,
      scale: place.scale * density
    }
    this.mesh.expressed(this.person.places, expression, this.places, this.person.own)
    this.mesh.posed(this.places, pose, this.turned)
    this.mesh.vertices(this.turned, this.vertices)
    const shut = shutting(this.person, this.mesh.names, expression)
    const picture = renderer.draw(this.person, this.vertices, pose, local, width, height, shut)
    ctx.imageSmoothingQuality = 'low'
    ctx.drawImage(picture, frame.x, frame.y, frame.width, frame.height)
  }
}
