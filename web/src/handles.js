// @ts-check
/**
 * Parts of the face that can be taken by the mouse, and which sliders stand behind them: the
 * sliders are solved for, so that the part follows the mouse as far as a face allows.
 */

/**
 * @typedef {object} Handle
 * @property {string} id
 * @property {number} point landmark that is drawn and followed
 * @property {number[]} near landmarks that catch the mouse
 * @property {string[]} sliders
 */

/** @type {Handle[]} */
export const HANDLES = [
  { id: 'mouth_corner_right', point: 48, near: [48, 60], sliders: ['smile', 'frown', 'mouth_wide'] },
  { id: 'mouth_corner_left', point: 54, near: [54, 64], sliders: ['smile', 'frown', 'mouth_wide'] },
  { id: 'lower_lip', point: 57, near: [56, 57, 58, 66], sliders: ['mouth_open', 'jaw_left_right'] },
  { id: 'upper_lip', point: 51, near: [50, 51, 52, 62], sliders: ['show_teeth', 'mouth_left_right'] },
  { id: 'chin', point: 8, near: [7, 8, 9], sliders: ['mouth_open', 'jaw_left_right'] },
  { id: 'brow_inner_right', point: 21, near: [20, 21], sliders: ['brows_raise_inner', 'brows_lower'] },
  { id: 'brow_inner_left', point: 22, near: [22, 23], sliders: ['brows_raise_inner', 'brows_lower'] },
  { id: 'brow_outer_right', point: 18, near: [17, 18, 19], sliders: ['brows_raise_outer', 'brows_lower'] },
  { id: 'brow_outer_left', point: 25, near: [24, 25, 26], sliders: ['brows_raise_outer', 'brows_lower'] },
  { id: 'lid_right', point: 37, near: [37, 38], sliders: ['eye_closed_right'] },
  { id: 'lid_left', point: 44, near: [43, 44], sliders: ['eye_closed_left'] },
  { id: 'lower_lid_right', point: 41, near: [40, 41], sliders: ['eyes_squint'] },
  { id: 'lower_lid_left', point: 46, near: [46, 47], sliders: ['eyes_squint'] },
  { id: 'pupil_right', point: 68, near: [68], sliders: ['gaze_horizontal', 'gaze_vertical'] },
  { id: 'pupil_left', point: 69, near: [69], sliders: ['gaze_horizontal', 'gaze_vertical'] }
]

/**
 * The handle under the mouse.
 *
 * @param {Float32Array} projected (72, 3) px; z towards the viewer
 * @param {number} x px
 * @param {number} y px
 * @param {number} reach px
 * @returns {Handle | null}
 */
export function handleAt(projected, x, y, reach) {
  let best = null
  let least = reach
  for (const handle of HANDLES) {
    for (const point of handle.near) {
      const distance = Math.hypot(projected[3 * point] - x, projected[3 * point + 1] - y)
      if (distance < least) {
        least = distance
        best = handle
      }
    }
  }
  return best
}

/**
 * Slider values that bring a point nearest to a place, preferring small changes.
 *
 * @param {string[]} ids sliders that may move
 * @param {Record<string, number>} start their values when the drag began
 * @param {(values: Record<string, number>) => [number, number]} place where the point lies, px
 * @param {[number, number]} target px
 * @param {number} unit px per interocular distance
 * @param {(id: string, value: number) => number} clamp
 * @returns {Record<string, number>}
 */
export function solve(ids, start, place, target, unit, clamp) {
  const reluctance = (0.02 * unit) ** 2
  const cost = (/** @type {Record<string, number>} */ values) => {
    const [x, y] = place(values)
    let sum = (x - target[0]) ** 2 + (y - target[1]) ** 2
    for (const id of ids) sum += reluctance * (values[id] - start[id]) ** 2
    return sum
  }
  let values = { ...start }
  let least = cost(values)
  // The response bends at 0 and at limits: a pattern search needs no derivative there.
  for (let step = 0.5; step > 0.006; step /= 2) {
    for (let round = 0; round < 3; round++) {
      let moved = false
      for (const id of ids) {
        for (const sign of [1, -1]) {
          const trial = { ...values, [id]: clamp(id, values[id] + sign * step) }
          const c = cost(trial)
          if (c < least - 1e-9) {
            values = trial
            least = c
            moved = true
          }
        }
      }
      if (!moved) break
    }
  }
  return values
}
