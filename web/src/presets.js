// @ts-check
/** Head poses beside the table's expressions; subject's and picture's side agree in the names. */

/** @type {import('./sliders.js').Preset[]} */
export const POSES = [
  { id: 'front', label: 'Front', values: { yaw: 0, pitch: 0, roll: 0 } },
  { id: 'quarter_left', label: 'Three-quarter left', values: { yaw: -35, pitch: 0, roll: 0 } },
  { id: 'quarter_right', label: 'Three-quarter right', values: { yaw: 35, pitch: 0, roll: 0 } },
  { id: 'profile_left', label: 'Near profile left', values: { yaw: -65, pitch: 0, roll: 0 } },
  { id: 'profile_right', label: 'Near profile right', values: { yaw: 65, pitch: 0, roll: 0 } },
  { id: 'look_up', label: 'From below', values: { yaw: 0, pitch: 18, roll: 0 } }
]

/**
 * What applying an expression changes: every expression slider, and not the head.
 *
 * @param {import('./sliders.js').SliderTable} table
 * @param {import('./sliders.js').Values} values
 * @returns {import('./sliders.js').Values}
 */
export function expressionOnly(table, values) {
  const result = table.defaults('expression')
  for (const id of Object.keys(result)) if (id in values) result[id] = values[id]
  return result
}

/**
 * The same face in the mirror.
 *
 * @param {import('./sliders.js').Values} values
 * @returns {import('./sliders.js').Values}
 */
export function mirrored(values) {
  const result = { ...values }
  for (const id of ['yaw', 'roll', 'position_x', 'mouth_left_right', 'gaze_horizontal', 'jaw_left_right']) {
    if (id in values) result[id] = -values[id] || 0
  }
  if ('eye_closed_left' in values && 'eye_closed_right' in values) {
    result.eye_closed_left = values.eye_closed_right
    result.eye_closed_right = values.eye_closed_left
  }
  return result
}
