// @ts-check
/** The strip of small faces below the big one. */
import { FaceView } from './face_view.js'
import { ICONS } from './icons.js'
import { POSES, expressionOnly } from './presets.js'

const THUMBNAIL = 52
const TABS = /** @type {const} */ (['expressions', 'poses', 'favourites'])

/**
 * The strip of small faces below the big one: expressions, head poses, and the artist's own.
 */
export class Shelf {
  /**
   * @param {import('./face_model.js').FaceModel} model
   * @param {import('./sliders.js').SliderTable} table
   * @param {import('./face_widget.js').Memory} memory
   * @param {(key: string) => string} text
   * @param {{ apply: (values: import('./sliders.js').Values) => void, current: () => import('./sliders.js').Values, changed: () => void }} actions
   */
  constructor(model, table, memory, text, actions) {
    this.model = model
    this.table = table
    this.memory = memory
    this.text = text
    this.actions = actions
    this.view = new FaceView(model)
    /** @type {(typeof TABS)[number]} */
    this.tab = 'expressions'
    /** @type {import('./face_view.js').Theme | null} */
    this.theme = null
    /** What the cards were drawn for. */
    this.drawn = ''
    this.element = document.createElement('div')
    this.element.className = 'hifi-shelf'
    this.tabs = document.createElement('div')
    this.tabs.className = 'hifi-tabs'
    this.tabs.setAttribute('role', 'tablist')
    for (const tab of TABS) {
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = text(tab)
      button.dataset.tab = tab
      button.setAttribute('role', 'tab')
      button.addEventListener('click', () => this.show(tab))
      this.tabs.append(button)
    }
    this.strip = document.createElement('div')
    this.strip.className = 'hifi-strip'
    this.strip.setAttribute('role', 'toolbar')
    this.strip.addEventListener('keydown', (event) => this.onKey(event))
    // A wheel over the strip scrolls it sideways.
    this.strip.dataset.captureWheel = 'true'
    this.strip.addEventListener(
      'wheel',
      (event) => {
        if (event.ctrlKey || this.strip.scrollWidth <= this.strip.clientWidth) return
        this.strip.scrollLeft += event.deltaY + event.deltaX
        event.preventDefault()
        event.stopPropagation()
      },
      { passive: false }
    )
    this.element.append(this.tabs, this.strip)
  }

  /** @param {import('./face_view.js').Theme} theme */
  refresh(theme) {
    const key = JSON.stringify([theme, this.memory.shape, this.memory.favourites, this.tab])
    if (key === this.drawn) return
    this.drawn = key
    this.theme = theme
    this.render()
  }

  /** @param {(typeof TABS)[number]} tab */
  show(tab) {
    this.tab = tab
    if (this.theme) this.refresh(this.theme)
  }

  /** @returns {{ label: string, values: import('./sliders.js').Values, own?: number }[]} */
  items() {
    if (this.tab === 'expressions') {
      return this.table.presets.map((preset) => ({
        label: this.text(`preset.${preset.id}`),
        values: expressionOnly(this.table, preset.values)
      }))
    }
    if (this.tab === 'poses') {
      return POSES.map(({ id, values }) => ({ label: this.text(`pose.${id}`), values }))
    }
    return (this.memory.favourites ?? []).map(({ name, values }, own) => ({ label: name, values, own }))
  }

  render() {
    for (const button of this.tabs.children) {
      const selected = /** @type {HTMLElement} */ (button).dataset.tab === this.tab
      button.setAttribute('aria-selected', String(selected))
    }
    this.strip.setAttribute('aria-label', this.text(this.tab))
    const scroll = this.strip.scrollLeft
    const cards = this.items().map((item) => this.card(item))
    if (this.tab === 'favourites') cards.push(this.addCard())
    this.strip.replaceChildren(...cards)
    this.strip.scrollLeft = scroll
  }

  /** @param {{ label: string, values: import('./sliders.js').Values, own?: number }} item */
  card({ label, values, own }) {
    const card = document.createElement('div')
    card.className = 'hifi-card'
    const button = document.createElement('button')
    button.type = 'button'
    button.title = own === undefined ? label : `${label} - ${this.text('favourite_hint')}`
    button.setAttribute('aria-label', label)
    const density = Math.min(2, window.devicePixelRatio || 1)
    const picture = document.createElement('canvas')
    picture.width = picture.height = Math.round(THUMBNAIL * density)
    const ctx = /** @type {CanvasRenderingContext2D} */ (picture.getContext('2d'))
    ctx.scale(density, density)
    this.thumbnail(ctx, values)
    const name = document.createElement('span')
    name.textContent = label
    button.append(picture, name)
    button.addEventListener('click', () => this.actions.apply(values))
    card.append(button)
    if (own !== undefined) {
      const remove = document.createElement('button')
      remove.type = 'button'
      remove.className = 'hifi-remove'
      remove.innerHTML = ICONS.remove
      remove.title = `${this.text('remove')}: ${label}`
      remove.setAttribute('aria-label', remove.title)
      remove.tabIndex = -1
      remove.addEventListener('click', () => this.remove(own))
      button.addEventListener('keydown', (event) => {
        if (event.key === 'Delete' || event.key === 'Backspace') this.remove(own)
      })
      card.append(remove)
    }
    return card
  }

  addCard() {
    const card = document.createElement('div')
    card.className = 'hifi-card'
    const add = document.createElement('button')
    add.type = 'button'
    add.className = 'hifi-add'
    add.title = this.text('add')
    add.setAttribute('aria-label', this.text('add'))
    add.innerHTML = `<i>${ICONS.add}</i>`
    const name = document.createElement('span')
    name.textContent = this.text('add_short')
    add.append(name)
    add.addEventListener('click', () => this.add())
    card.append(add)
    return card
  }

  add() {
    const all = this.actions.current()
    const values = Object.fromEntries(
      this.table.sliders.filter(({ kind }) => kind !== 'placement').map(({ id }) => [id, all[id]])
    )
    const favourites = this.memory.favourites ?? []
    const used = new Set(favourites.map(({ name }) => name))
    let number = favourites.length + 1
    while (used.has(`${this.text('face')} ${number}`)) number++
    this.memory.favourites = [...favourites, { name: `${this.text('face')} ${number}`, values }]
    this.store()
  }

  /** @param {number} index */
  remove(index) {
    this.memory.favourites = (this.memory.favourites ?? []).filter((_, i) => i !== index)
    this.store()
  }

  store() {
    if (this.theme) this.refresh(this.theme)
    this.actions.changed()
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {import('./sliders.js').Values} values
   */
  thumbnail(ctx, values) {
    const theme = /** @type {import('./face_view.js').Theme} */ (this.theme)
    const face = {
      points: this.model.points(this.memory.shape ?? [], this.table.expression(values)),
      pose: this.table.pose(values),
      placement: { cx: 50, cy: 40, scale: 29 }
    }
    const size = { width: 100, height: 100 }
    this.view.draw(ctx, { x: -2, y: -2, width: THUMBNAIL + 4, height: THUMBNAIL + 4 }, size, face, theme, { style: 'clay' })
  }

  /** Arrow keys walk along the strip. @param {KeyboardEvent} event */
  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (!step) return
    const buttons = /** @type {HTMLElement[]} */ ([...this.strip.querySelectorAll('.hifi-card > button:first-child')])
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement))
    buttons[(at + step + buttons.length) % buttons.length]?.focus()
    event.preventDefault()
    event.stopPropagation()
  }
}
