// @ts-check
/** @param {string} paths @returns {string} */
const icon = (paths) =>
  `<svg viewBox="0 0 16 16" width="15" height="15" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`

export const ICONS = {
  style: icon('<path d="M8 1.8c3 0 4.6 2.2 4.6 5.4S10.8 14.2 8 14.2 3.4 10.400 3.400 7.200 5 1.800 8 1.800Z"/><path d="M3.500 6.300 8 8.200l4.500-1.900M8 8.200v6M5.600 2.600 8 8.200l2.400-5.600"/>'),
  compare: icon('<rect x="1.800" y="3" width="5.200" height="10" rx="1"/><rect x="9" y="3" width="5.200" height="10" rx="1"/>'),
  mirror: icon('<path d="M8 2v12" stroke-dasharray="1.500 2"/><path d="M5.800 4.500v7L2 11.500ZM10.200 4.500v7l3.800 0Z"/>'),
  reset_head: icon('<path d="M3 8a5 5 0 1 0 1.700-3.750"/><path d="M4.500 1.800v2.700h2.700"/>'),
  reset_face: icon('<circle cx="8" cy="8" r="6"/><path d="M5.500 10.300h5M5.800 6.400v.2M10.200 6.400v.2"/>'),
  add: icon('<path d="M8 3.200v9.600M3.200 8h9.600"/>'),
  remove: icon('<path d="m4.500 4.500 7 7m0-7-7 7"/>')
}
