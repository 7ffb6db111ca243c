// @ts-check
/** Icons of the toolbar, as SVG. */

/** @param {string} paths @returns {string} */
const icon = (paths) =>
  `<svg viewBox="0 0 16 16" width="15" height="15" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`

export const ICONS = {
  style: icon('<path d="M8 1.8c3 0 4.6 2.2 4.6 5.4S10.8 14.2 8 14.2 3.4 10.4 3.4 7.2 5 1.8 8 1.8Z"/><path d="M3.5 6.3 8 8.2l4.5-1.9M8 8.2v6M5.6 2.6 8 8.2l2.4-5.6"/>'),
  compare: icon('<rect x="1.8" y="3" width="5.2" height="10" rx="1"/><rect x="9" y="3" width="5.2" height="10" rx="1"/>'),
  mirror: icon('<path d="M8 2v12" stroke-dasharray="1.5 2"/><path d="M5.8 4.5v7L2 11.5ZM10.2 4.5v7l3.8 0Z"/>'),
  reset_head: icon('<path d="M3 8a5 5 0 1 0 1.7-3.750"/><path d="M4.5 1.8v2.7h2.7"/>'),
  reset_face: icon('<circle cx="8" cy="8" r="6"/><path d="M5.5 10.3h5M5.8 6.4v.2M10.2 6.4v.2"/>'),
  add: icon('<path d="M8 3.2v9.6M3.2 8h9.6"/>'),
  remove: icon('<path d="m4.5 4.5 7 7m0-7-7 7"/>')
}
