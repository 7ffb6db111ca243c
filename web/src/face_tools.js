// @ts-check
/** Toolbar and tabs of the face widget. */
import { ICONS } from './icons.js'
import { mirrored } from './presets.js'

const STYLES = /** @type {const} */ (['clay', 'both', 'lines'])
const STYLES_OF_A_PERSON = /** @type {const} */ (['photo', 'both', 'lines', 'clay'])

/**
 * Buttons over the picture.
 *
 * @param {import('./face_widget.js').FaceWidget} face
 * @returns {{ bar: HTMLElement, compare: HTMLButtonElement }}
 */
export function toolbar(face) {
  const bar = document.createElement('div')
  bar.className = 'hifi-tools'
  bar.setAttribute('role', 'toolbar')
  bar.setAttribute('aria-label', face.text('tools'))
  const button = (/** @type {keyof typeof ICONS} */ icon, /** @type {() => void} */ act) => {
    const b = document.createElement('button')
    b.type = 'button'
    b.innerHTML = ICONS[icon]
    b.title = face.text(icon)
    b.dataset.action = icon
    b.setAttribute('aria-label', face.text(icon))
    b.addEventListener('click', act)
    bar.append(b)
    return b
  }
  button('style', () => {
    /** @type {readonly import('./face_view.js').Style[]} */
    const styles = face.head ? STYLES_OF_A_PERSON : STYLES
    face.memory.style = styles[(styles.indexOf(face.style) + 1) % styles.length]
    face.draw()
  })
  const compare = button('compare', () => {
    face.memory.compare = !face.comparing
    face.draw()
  })
  button('mirror', () => face.set(mirrored(face.controls.values())))
  button('reset_head', () => face.resetHead())
  button('reset_face', () => face.set(face.table.defaults('expression')))
  return { bar, compare }
}

/**
 * Tabs that choose which sliders the node shows.
 *
 * @param {import('./face_widget.js').FaceWidget} face
 * @returns {HTMLElement}
 */
export function groupTabs(face) {
  const tabs = document.createElement('div')
  tabs.className = 'hifi-tabs hifi-groups'
  tabs.setAttribute('role', 'tablist')
  tabs.setAttribute('aria-label', face.text('sliders'))
  for (const { id } of [...face.table.groups, { id: 'all' }]) {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = face.text(`group.${id}`)
    button.dataset.group = id
    button.setAttribute('role', 'tab')
    button.addEventListener('click', () => {
      face.memory.group = id
      face.showGroup(true)
    })
    tabs.append(button)
  }
  return tabs
}
