// @ts-check
import { FaceView } from './face_view.js'
import { HANDLES, handleAt, solve } from './handles.js'
import { ICONS } from './icons.js'
import { mirrored } from './presets.js'
import { Shelf } from './shelf.js'
import { readTheme } from './theme.js'

/**
 * The node's inputs, as the widget sees them.
 *
 * @typedef {object} Controls
 * @property {() => import('./sliders.js').Values} values all sliders
 * @property {(values: import('./sliders.js').Values) => void} set changes some sliders
 * @property {() => { width: number, height: number }} canvas size of the picture, px
 * @property {(group: string, resize: boolean) => void} showGroup shows the sliders of one group only, or of `all`
 */

/**
 * What is kept with the workflow beside the inputs.
 *
 * @typedef {object} Memory
 * @property {number[]} [shape] identity coefficients of the last run
 * @property {import('./sliders.js').Base | null} [base] what the last run added below the sliders
 * @property {{ name: string, values: import('./sliders.js').Values }[]} [favourites]
 * @property {'clay' | 'lines' | 'both'} [style]
 * @property {boolean} [compare]
 * @property {string} [group] which sliders are shown
 */

const DEGREES_PER_PIXEL = 0.45
const KEY_DEGREES = 5
const STYLES = /** @type {const} */ (['clay', 'both', 'lines'])

/** The face above the sliders: shows what they say, and sets them. */
export class FaceWidget {
  /**
   * @param {import('./face_model.js').FaceModel} model
   * @param {import('./sliders.js').SliderTable} table
   * @param {Controls} controls
   * @param {Memory} memory kept by the caller; changed in place
   * @param {(key: string) => string} text translated words
   */
  constructor(model, table, controls, memory, text) {
    this.model = model
    this.table = table
    this.controls = controls
    this.memory = memory
    this.text = text
    this.view = new FaceView(model)
    this.referenceView = new FaceView(model)
    this.referencePicture = document.createElement('canvas')
    this.referenceKey = ''
    this.theme = readTheme(document.body)
    this.points = new Float32Array(72 * 3)
    /** @type {import('./handles.js').Handle | null} */
    this.hover = null
    /** @type {number} part chosen by keyboard, or -1 */
    this.chosen = -1
    /** @type {Drag | null} */
    this.drag = null
    this.frameAsked = false
    this.draft = false
    this.rest = 0
    this.lastDrawn = 0

    this.element = document.createElement('div')
    this.element.className = 'hifi-face'
    /** For tests and other extensions. @type {any} */
    const handle = this.element
    handle.face = this
    this.stage = document.createElement('div')
    this.stage.className = 'hifi-stage'
    this.canvas = document.createElement('canvas')
    this.canvas.tabIndex = 0
    this.canvas.setAttribute('role', 'application')
    this.canvas.setAttribute('aria-roledescription', text('face_control'))
    this.canvas.title = text('hint')
    this.status = document.createElement('div')
    this.status.className = 'hifi-status'
    this.status.setAttribute('aria-live', 'polite')
    this.shelf = new Shelf(model, table, memory, text, {
      apply: (values) => this.set(values),
      current: () => this.controls.values(),
      changed: () => this.draw()
    })
    this.stage.append(this.canvas, this.toolbar(), this.status)
    this.groupTabs = this.groups()
    this.element.append(this.stage, this.shelf.element, this.groupTabs)
    this.listen()
    this.observer = new ResizeObserver(() => this.draw())
    this.observer.observe(this.stage)
  }

  /** Buttons over the picture. */
  toolbar() {
    const bar = document.createElement('div')
    bar.className = 'hifi-tools'
    bar.setAttribute('role', 'toolbar')
    bar.setAttribute('aria-label', this.text('tools'))
    const button = (/** @type {keyof typeof ICONS} */ icon, /** @type {() => void} */ act) => {
      const b = document.createElement('button')
      b.type = 'button'
      b.innerHTML = ICONS[icon]
      b.title = this.text(icon)
      b.dataset.action = icon
      b.setAttribute('aria-label', this.text(icon))
      b.addEventListener('click', act)
      bar.append(b)
      return b
    }
    button('style', () => {
      this.memory.style = STYLES[(STYLES.indexOf(this.memory.style ?? 'clay') + 1) % STYLES.length]
      this.draw()
    })
    this.compareButton = button('compare', () => {
      this.memory.compare = !this.memory.compare
      this.draw()
    })
    button('mirror', () => this.set(mirrored(this.controls.values())))
    button('reset_head', () => this.resetHead())
    button('reset_face', () => this.set(this.table.defaults('expression')))
    return bar
  }

  /** Tabs that choose which sliders the node shows. */
  groups() {
    const tabs = document.createElement('div')
    tabs.className = 'hifi-tabs hifi-groups'
    tabs.setAttribute('role', 'tablist')
    tabs.setAttribute('aria-label', this.text('sliders'))
    for (const { id } of [...this.table.groups, { id: 'all' }]) {
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = this.text(`group.${id}`)
      button.dataset.group = id
      button.setAttribute('role', 'tab')
      button.addEventListener('click', () => {
        this.memory.group = id
        this.showGroup(true)
      })
      tabs.append(button)
    }
    return tabs
  }

  /**
   * Show the sliders of the group that is remembered.
   *
   * @param {boolean} resize whether the node grows or shrinks with them
   */
  showGroup(resize) {
    const known = ['all', ...this.table.groups.map(({ id }) => id)]
    const group = known.includes(this.memory.group ?? '') ? String(this.memory.group) : 'head'
    for (const tab of this.groupTabs.children) {
      tab.setAttribute('aria-selected', String(/** @type {HTMLElement} */ (tab).dataset.group === group))
    }
    this.controls.showGroup(group, resize)
  }

  /** @param {import('./sliders.js').Values} values */
  set(values) {
    /** @type {import('./sliders.js').Values} */
    const known = {}
    for (const [id, value] of Object.entries(values)) {
      if (this.table.byId.has(id)) known[id] = this.table.clamp(id, value)
    }
    this.controls.set(known)
    this.changed()
  }

  resetHead() {
    this.set(this.table.defaults('pose', 'placement'))
  }

  /** Draw now, or in the next frame if this one is done; finely after a rest. */
  changed() {
    this.draft = true
    clearTimeout(this.rest)
    this.rest = setTimeout(() => {
      this.draft = false
      this.draw()
    }, 120)
    if (performance.now() - this.lastDrawn > 7) {
      this.draw()
    } else if (!this.frameAsked) {
      this.frameAsked = true
      requestAnimationFrame(() => {
        this.frameAsked = false
        this.draw()
      })
    }
  }

  /**
   * @param {import('./sliders.js').Values} values
   * @returns {import('./face_view.js').Face}
   */
  face(values) {
    const { shape = [], base } = this.memory
    const { width, height } = this.controls.canvas()
    return {
      points: this.model.points(shape, this.table.expression(values, base?.expression), this.points),
      pose: this.table.pose(values, base),
      placement: this.table.placement(values, width, height, base)
    }
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.stage
    if (!width || !height) return
    this.lastDrawn = performance.now()
    const density = Math.min(2, window.devicePixelRatio || 1)
    const [w, h] = [Math.round(width * density), Math.round(height * density)]
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w
      this.canvas.height = h
    }
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'))
    ctx.setTransform(density, 0, 0, density, 0, 0)
    ctx.clearRect(0, 0, width, height)

    const values = this.controls.values()
    const face = this.face(values)
    const picture = this.controls.canvas()
    const style = this.memory.style ?? 'clay'
    const canCompare = Boolean(this.memory.shape)
    const compare = canCompare && (this.memory.compare ?? true)
    this.compareButton?.toggleAttribute('hidden', !canCompare)
    this.compareButton?.setAttribute('aria-pressed', String(compare))
    const area = { x: 0, y: 0, width, height }
    if (compare) {
      const share = Math.round(width * 0.34)
      const reference = {
        points: this.model.points(this.memory.shape ?? [], []),
        pose: /** @type {[number, number, number]} */ ([0, 0, 0]),
        placement: { cx: 50, cy: 66, scale: 33 }
      }
      const left = { ...area, width: share }
      const tall = { width: 100, height: 170 }
      const key = JSON.stringify([share, height, density, style, this.theme, this.memory.shape])
      if (key !== this.referenceKey) {
        // Changes with the person only.
        this.referenceKey = key
        this.referencePicture.width = Math.round(share * density)
        this.referencePicture.height = h
        const still = /** @type {CanvasRenderingContext2D} */ (this.referencePicture.getContext('2d'))
        still.scale(density, density)
        this.referenceView.draw(still, left, tall, reference, this.theme, { style, caption: this.text('reference') })
      }
      ctx.drawImage(this.referencePicture, 0, 0, share, height)
      area.x = share
      area.width = width - share
    }
    const handle = this.drag?.handle ?? this.hover ?? HANDLES[this.chosen]
    this.view.draw(ctx, area, picture, face, this.theme, {
      style,
      highlight: handle?.point,
      draft: this.draft,
      caption: compare ? this.text('target') : undefined
    })
    this.canvas.setAttribute('aria-label', this.describe(values))
  }

  /** The face in words. @param {import('./sliders.js').Values} values */
  describe(values) {
    const changed = this.table.sliders
      .filter((slider) => Math.abs((values[slider.id] ?? slider.default) - slider.default) > 1e-6)
      .map((slider) => `${this.text(`slider.${slider.id}`)} ${values[slider.id]}`)
    return `${this.text('face')}: ${changed.length ? changed.join(', ') : this.text('neutral')}`
  }

  /** Say something to screen readers. @param {string} message */
  announce(message) {
    this.status.textContent = message
  }

  /** Called by the node now and then: the theme may have changed. */
  refresh() {
    this.theme = readTheme(this.element)
    this.shelf.refresh(this.theme)
    this.draw()
  }

  listen() {
    const { canvas } = this
    const stop = (/** @type {Event} */ event) => {
      // The middle button pans the graph, here as everywhere.
      const middle = event instanceof PointerEvent && (event.button === 1 || (event.buttons & 4) !== 0)
      if (!middle) event.stopPropagation()
    }
    // Nodes 2.0 would drag the node, and with Shift it begins to on a movement alone.
    for (const type of ['pointerdown', 'pointermove', 'pointerup', 'dblclick', 'contextmenu']) this.element.addEventListener(type, stop)
    // Else Shift+drag selects text of the page, and the browser drags that away.
    for (const type of ['mousedown', 'dragstart']) canvas.addEventListener(type, (event) => event.preventDefault())
    canvas.addEventListener('pointerdown', (event) => this.onDown(event))
    canvas.addEventListener('pointermove', (event) => this.onMove(event))
    canvas.addEventListener('pointerup', (event) => this.onUp(event))
    canvas.addEventListener('pointercancel', (event) => this.onUp(event))
    canvas.addEventListener('pointerleave', () => {
      this.hover = null
      this.draw()
    })
    canvas.addEventListener('dblclick', (event) => {
      event.preventDefault()
      const handle = this.handleUnder(event)
      if (handle) this.set(Object.fromEntries(handle.sliders.map((id) => [id, 0])))
      else this.resetHead()
    })
    // The wheel scales the head once the face has been clicked; before, it zooms the graph as everywhere.
    canvas.addEventListener('focus', () => {
      canvas.dataset.captureWheel = 'true'
    })
    canvas.addEventListener('blur', () => {
      delete canvas.dataset.captureWheel
      this.chosen = -1
      this.draw()
    })
    canvas.addEventListener('wheel', (event) => this.onWheel(event), { passive: false })
    this.element.addEventListener('keydown', (event) => this.onKey(event))
  }

  /** @param {MouseEvent} event @returns {[number, number]} CSS px of the stage, whatever the zoom */
  at(event) {
    const box = this.canvas.getBoundingClientRect()
    const zoom = box.width / (this.canvas.clientWidth || 1) || 1
    return [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom]
  }

  /** @param {MouseEvent} event */
  handleUnder(event) {
    return handleAt(this.view.projected, ...this.at(event), 11)
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    if (event.button !== 0) return
    this.canvas.focus({ preventScroll: true })
    this.canvas.setPointerCapture(event.pointerId)
    const moving = event.shiftKey || event.altKey
    this.drag = {
      from: this.at(event),
      values: this.controls.values(),
      handle: moving ? null : this.handleUnder(event),
      move: event.shiftKey,
      roll: event.altKey
    }
    this.draw()
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (!this.drag) {
      const hover = this.handleUnder(event)
      if (hover === this.hover) return
      this.hover = hover
      this.canvas.style.cursor = hover ? 'pointer' : 'grab'
      this.draw()
      return
    }
    const [x, y] = this.at(event)
    const { from, values, handle, move, roll } = this.drag
    const [dx, dy] = [x - from[0], y - from[1]]
    if (handle) {
      this.follow(handle, values, [x, y])
    } else if (move) {
      const { width, height } = this.controls.canvas()
      this.set({
        position_x: values.position_x + (2 * dx) / (width * this.view.fit.scale),
        position_y: values.position_y - (2 * dy) / (height * this.view.fit.scale)
      })
    } else if (roll) {
      this.set({ roll: values.roll + dx * DEGREES_PER_PIXEL })
    } else {
      this.set({ yaw: values.yaw + dx * DEGREES_PER_PIXEL, pitch: values.pitch - dy * DEGREES_PER_PIXEL })
    }
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    if (!this.drag) return
    // Browsers may leave out the last movements before the button goes up.
    if (event.type === 'pointerup') this.onMove(event)
    this.canvas.releasePointerCapture(event.pointerId)
    this.drag = null
    this.announce(this.describe(this.controls.values()))
    this.draw()
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    if (document.activeElement !== this.canvas || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    event.stopPropagation()
    const { scale } = this.controls.values()
    this.set({ scale: scale * Math.exp(-event.deltaY * 0.0012) })
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
    const { view } = this
    const place = (/** @type {import('./sliders.js').Values} */ trial) =>
      view.locate(this.face({ ...values, ...trial }), handle.point)
    const unit = this.face(values).placement.scale * view.fit.scale
    this.set(solve(handle.sliders, start, place, target, unit, (id, value) => this.table.clamp(id, value)))
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.target !== this.canvas) {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
      return
    }
    const values = this.controls.values()
    const sign = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key]
    const handle = HANDLES[this.chosen]
    if (sign && (event.ctrlKey || event.metaKey) && handle) {
      const p = this.view.projected
      this.follow(handle, values, [p[3 * handle.point] + 5 * sign[0], p[3 * handle.point + 1] - 5 * sign[1]])
    } else if (sign && event.shiftKey) {
      this.set({ position_x: values.position_x + 0.05 * sign[0], position_y: values.position_y + 0.05 * sign[1] })
    } else if (sign && event.altKey) {
      this.set({ roll: values.roll + KEY_DEGREES * (sign[0] || sign[1]) })
    } else if (sign) {
      this.set({ yaw: values.yaw + KEY_DEGREES * sign[0], pitch: values.pitch + KEY_DEGREES * sign[1] })
    } else if (event.key === '+' || event.key === '=') {
      this.set({ scale: values.scale * 1.05 })
    } else if (event.key === '-') {
      this.set({ scale: values.scale / 1.05 })
    } else if (event.key === 'Home' || event.key === '0') {
      this.resetHead()
    } else if (event.key === 'n' || event.key === 'N') {
      const step = event.key === 'n' ? 1 : HANDLES.length - 1
      this.chosen = (Math.max(this.chosen, event.key === 'n' ? -1 : 0) + step) % HANDLES.length
      this.announce(this.text(`handle.${HANDLES[this.chosen].id}`))
      this.draw()
      event.preventDefault()
      event.stopPropagation()
      return
    } else {
      return
    }
    event.preventDefault()
    event.stopPropagation()
    this.announce(this.describe(this.controls.values()))
  }

  destroy() {
    this.observer.disconnect()
  }
}

/**
 * @typedef {object} Drag
 * @property {[number, number]} from CSS px
 * @property {import('./sliders.js').Values} values when it began
 * @property {import('./handles.js').Handle | null} handle
 * @property {boolean} move
 * @property {boolean} roll
 */
