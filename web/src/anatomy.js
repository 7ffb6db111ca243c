// @ts-check
/**
 * Which of the 72 landmarks form what. Left and right are the subject's.
 */

/** @param {number} from @param {number} to inclusive @returns {number[]} */
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

export const JAW = range(0, 16)
export const BROW_RIGHT = range(17, 21)
export const BROW_LEFT = range(22, 26)
export const NOSE_BRIDGE = range(27, 30)
export const NOSTRILS = range(31, 35)
export const EYE_RIGHT = range(36, 41)
export const EYE_LEFT = range(42, 47)
export const LIPS_OUTER = range(48, 59)
export const LIPS_INNER = range(60, 67)
export const PUPIL_RIGHT = 68
export const PUPIL_LEFT = 69
export const GLABELLA = 70
export const FOREHEAD = 71

/** Lines of the drawing: points, closed or not. */
/** @type {{ points: number[], closed: boolean }[]} */
export const LINES = [
  { points: JAW, closed: false },
  { points: BROW_RIGHT, closed: false },
  { points: BROW_LEFT, closed: false },
  { points: NOSE_BRIDGE, closed: false },
  { points: NOSTRILS, closed: false },
  { points: EYE_RIGHT, closed: true },
  { points: EYE_LEFT, closed: true },
  { points: LIPS_OUTER, closed: true },
  { points: LIPS_INNER, closed: true }
]

/** Triangles of the lips, between the outer and the inner contour. */
export const LIP_TRIANGLES = [
  [48, 49, 60], [49, 50, 61], [49, 61, 60], [50, 51, 62], [50, 62, 61], [51, 52, 62],
  [52, 53, 63], [52, 63, 62], [53, 54, 64], [53, 64, 63], [54, 55, 64], [55, 56, 65],
  [55, 65, 64], [56, 57, 66], [56, 66, 65], [57, 58, 66], [58, 59, 67], [58, 67, 66],
  [59, 48, 60], [59, 60, 67]
]

/** Triangles between the lips. */
export const MOUTH_TRIANGLES = [
  [60, 61, 67], [61, 62, 66], [61, 66, 67], [62, 63, 65], [62, 65, 66], [63, 64, 65]
]

/** Triangles of the eye openings. */
export const EYE_TRIANGLES = [EYE_RIGHT, EYE_LEFT].map(([a, b, c, d, e, f]) => [
  [a, b, f], [b, e, f], [b, c, e], [c, d, e]
])
