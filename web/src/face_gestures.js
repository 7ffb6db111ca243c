// @ts-check
/** What the pointer, the wheel and the keyboard do on the face. */
import { HANDLES, handleAt, solve } from './handles.js'

const DEGREES_PER_PIXEL = 0.45
const KEY_DEGREES = 5
/** @type {Record<string, [number, number]>} right and up */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

/**
 * @typedef {object} Drag
 * @property {[number, number]} from CSS px
 * @property {import('./sliders.js').Values} values when it began
 * @property {import('./handles.js').Handle | null} handle
 * @property {boolean} move
 * @property {boolean} roll
 */

/** What the pointer, the wheel and the keyboard do on the face: they set sliders. */
export class FaceGestures {
  /** @param {import('./face_widget.js').FaceWidget} widget */
  constructor(widget) {
    this.widget = widget
    this.canvas = widget.canvas
    /** @type {import('./handles.js').Handle | null} */
    this.hover = null
    /** @type {number} part chosen by keyboard, or -1 */
    this.chosen = -1
    /** @type {Drag | null} */
    this.drag = null
    this.listen()
  }

  /** The part that is pulled, pointed at or chosen. @returns {import('./handles.js').Handle | undefined} */
  get handle() {
    return this.drag?.handle ?? this.hover ?? HANDLES[this.chosen]
  }

  /** Hear the pointer, the wheel and the keyboard. */
  listen() {
    const { canvas } = this
    const { element } = this.widget
    const stop = (/** @type {Event} */ event) => {
      // The middle button pans the graph, here as everywhere.
      const middle = event instanceof PointerEvent && (event.button === 1 || (event.buttons & 4) !== 0)
      if (!middle) event.stopPropagation()
    }
    // Nodes 2.0 would drag the node, and with Shift it begins to on a movement alone.
    for (const type of ['pointerdown', 'pointermove', 'pointerup', 'dblclick', 'contextmenu']) element.addEventListener(type, stop)
    // Else Shift+drag selects text of the page, and the browser drags that away.
    for (const type of ['mousedown', 'dragstart']) canvas.addEventListener(type, (event) => event.preventDefault())
    canvas.addEventListener('pointerdown', (event) => this.onDown(event))
    canvas.addEventListener('pointermove', (event) => this.onMove(event))
    canvas.addEventListener('pointerup', (event) => this.onUp(event))
    canvas.addEventListener('pointercancel', (event) => this.onUp(event))
    canvas.addEventListener('pointerleave', () => {
      this.hover = null
      this.widget.draw()
    })
    canvas.addEventListener('dblclick', (event) => {
      event.preventDefault()
      const handle = this.handleUnder(event)
      if (handle) this.widget.set(Object.fromEntries(handle.sliders.map((id) => [id, 0])))
      else this.widget.resetHead()
    })
    // The wheel scales the head once the face has been clicked; before, it zooms the graph as everywhere.
    canvas.addEventListener('focus', () => {
      canvas.dataset.captureWheel = 'true'
    })
    canvas.addEventListener('blur', () => {
      delete canvas.dataset.captureWheel
      this.chosen = -1
      this.widget.draw()
    })
    canvas.addEventListener('wheel', (event) => this.onWheel(event), { passive: false })
    element.addEventListener('keydown', (event) => this.onKey(event))
  }

  /** @param {MouseEvent} event @returns {[number, number]} CSS px of the stage, whatever the zoom */
  at(event) {
    const box = this.canvas.getBoundingClientRect()
    const zoom = box.width / (this.canvas.clientWidth || 1) || 1
    return [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom]
  }

  /** @param {MouseEvent} event */
  handleUnder(event) {
    return handleAt(this.widget.view.projected, ...this.at(event), 11)
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    if (event.button !== 0) return
    this.canvas.focus({ preventScroll: true })
    this.canvas.setPointerCapture(event.pointerId)
    const moving = event.shiftKey || event.altKey
    this.drag = {
      from: this.at(event),
      values: this.widget.controls.values(),
      handle: moving ? null : this.handleUnder(event),
      move: event.shiftKey,
      roll: event.altKey
    }
    this.widget.draw()
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (!this.drag) {
      const hover = this.handleUnder(event)
      if (hover === this.hover) return
      this.hover = hover
      this.canvas.style.cursor = hover ? 'pointer' : 'grab'
      this.widget.draw()
      return
    }
    const [x, y] = this.at(event)
    const { from, values, handle, move, roll } = this.drag
    const [dx, dy] = [x - from[0], y - from[1]]
    if (handle) {
      this.follow(handle, values, [x, y])
    } else if (move) {
      const { width, height } = this.widget.controls.canvas()
      this.widget.set({
        position_x: values.position_x + (2 * dx) / (width * this.widget.view.fit.scale),
        position_y: values.position_y - (2 * dy) / (height * this.widget.view.fit.scale)
      })
    } else if (roll) {
      this.widget.set({ roll: values.roll + dx * DEGREES_PER_PIXEL })
    } else {
      this.widget.set({ yaw: values.yaw + dx * DEGREES_PER_PIXEL, pitch: values.pitch - dy * DEGREES_PER_PIXEL })
    }
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    if (!this.drag) return
    // Browsers may leave out the last movements before the button goes up.
    if (event.type === 'pointerup') this.onMove(event)
    this.canvas.releasePointerCapture(event.pointerId)
    this.drag = null
    this.tell()
    this.widget.draw()
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    if (document.activeElement !== this.canvas || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    event.stopPropagation()
    const { scale } = this.widget.controls.values()
    this.widget.set({ scale: scale * Math.exp(-event.deltaY * 0.0012) })
  }

  /**
   * Move the sliders behind a handle so that its landmark comes nearest to a place.
   *
   * @param {import('./handles.js').Handle} handle
   * @param {import('./sliders.js').Values} values when the drag began
   * @param {[number, number]} target CSS px of the stage
   */
  follow(handle, values, target) {
    const start = Object.fromEntries(handle.sliders.map((id) => [id, values[id] ?? 0]))
    const { view } = this.widget
    const place = (/** @type {import('./sliders.js').Values} */ trial) =>
      view.locate(this.widget.face({ ...values, ...trial }), handle.point)
    const unit = this.widget.face(values).placement.scale * view.fit.scale
    this.widget.set(solve(handle.sliders, start, place, target, unit, (id, value) => this.widget.table.clamp(id, value)))
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.target !== this.canvas) {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
      return
    }
    if (!this.arrow(event) && !this.press(event.key)) return
    event.preventDefault()
    event.stopPropagation()
  }

  /**
   * Arrows turn the head, with Shift move it, with Alt roll it, with Ctrl pull the chosen part.
   *
   * @param {KeyboardEvent} event
   * @returns {boolean} whether it was an arrow
   */
  arrow(event) {
    const sign = ARROWS[event.key]
    if (!sign) return false
    const { widget } = this
    const values = widget.controls.values()
    const handle = HANDLES[this.chosen]
    if ((event.ctrlKey || event.metaKey) && handle) {
      const p = widget.view.projected
      this.follow(handle, values, [p[3 * handle.point] + 5 * sign[0], p[3 * handle.point + 1] - 5 * sign[1]])
    } else if (event.shiftKey) {
      widget.set({ position_x: values.position_x + 0.05 * sign[0], position_y: values.position_y + 0.05 * sign[1] })
    } else if (event.altKey) {
      widget.set({ roll: values.roll + KEY_DEGREES * (sign[0] || sign[1]) })
    } else {
      widget.set({ yaw: values.yaw + KEY_DEGREES * sign[0], pitch: values.pitch + KEY_DEGREES * sign[1] })
    }
    this.tell()
    return true
  }

  /**
   * The other keys: size, reset, choice of a part.
   *
   * @param {string} key
   * @returns {boolean} whether it means something
   */
  press(key) {
    const { widget } = this
    const { scale } = widget.controls.values()
    if (key === '+' || key === '=') widget.set({ scale: scale * 1.05 })
    else if (key === '-') widget.set({ scale: scale / 1.05 })
    else if (key === 'Home' || key === '0') widget.resetHead()
    else if (key === 'n' || key === 'N') return this.choose(key === 'n')
    else return false
    this.tell()
    return true
  }

  /** @param {boolean} next the next part, or the one before @returns {true} */
  choose(next) {
    const step = next ? 1 : HANDLES.length - 1
    this.chosen = (Math.max(this.chosen, next ? -1 : 0) + step) % HANDLES.length
    this.widget.announce(this.widget.text(`handle.${HANDLES[this.chosen].id}`))
    this.widget.draw()
    return true
  }

  /** Say the face in words. */
  tell() {
    this.widget.announce(this.widget.describe(this.widget.controls.values()))
  }
}
