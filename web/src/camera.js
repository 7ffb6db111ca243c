// @ts-check
/**
 * The camera of `landmarks/camera.py`: head frame (x right, y up, z towards the viewer, in
 * interocular distances) to picture pixels (y down). Kept equal to the server's by a test.
 */

/** Distance of the camera from the midpoint of the eyes, in interocular distances. */
export const CAMERA_DISTANCE = 12

/** @typedef {{ cx: number, cy: number, scale: number }} Placement px, px, px per interocular distance */

/**
 * Rotation matrix of a pose, row by row: `R = Rz(-roll) Rx(-pitch) Ry(yaw)`.
 *
 * @param {number} yaw degrees; positive turns the nose to the picture's right
 * @param {number} pitch degrees; positive looks up
 * @param {number} roll degrees; positive tilts clockwise as seen
 * @returns {number[]} nine numbers
 */
export function rotation(yaw, pitch, roll) {
  const rad = Math.PI / 180
  const [cy, sy] = [Math.cos(yaw * rad), Math.sin(yaw * rad)]
  const [cp, sp] = [Math.cos(-pitch * rad), Math.sin(-pitch * rad)]
  const [cr, sr] = [Math.cos(-roll * rad), Math.sin(-roll * rad)]
  // Rx(-pitch) Ry(yaw)
  const a = [cy, 0, sy, sp * sy, cp, -sp * cy, -cp * sy, sp, cp * cy]
  return [
    cr * a[0] - sr * a[3], cr * a[1] - sr * a[4], cr * a[2] - sr * a[5],
    sr * a[0] + cr * a[3], sr * a[1] + cr * a[4], sr * a[2] + cr * a[5],
    a[6], a[7], a[8]
  ]
}

/**
 * Rotate points.
 *
 * @param {Float32Array} points (N, 3)
 * @param {number[]} r rotation matrix
 * @param {Float32Array} [out] (N, 3)
 * @returns {Float32Array}
 */
export function rotate(points, r, out = new Float32Array(points.length)) {
  for (let i = 0; i < points.length; i += 3) {
    const [x, y, z] = [points[i], points[i + 1], points[i + 2]]
    out[i] = r[0] * x + r[1] * y + r[2] * z
    out[i + 1] = r[3] * x + r[4] * y + r[5] * z
    out[i + 2] = r[6] * x + r[7] * y + r[8] * z
  }
  return out
}

/**
 * Project rotated points: `x = cx + s X d / (d - Z)`, `y = cy - s Y d / (d - Z)`, `z = s Z`.
 *
 * @param {Float32Array} rotated (N, 3) in the head frame's unit
 * @param {Placement} placement
 * @param {Float32Array} [out] (N, 3) px; z towards the viewer
 * @returns {Float32Array}
 */
export function project(rotated, { cx, cy, scale }, out = new Float32Array(rotated.length)) {
  for (let i = 0; i < rotated.length; i += 3) {
    const factor = (scale * CAMERA_DISTANCE) / (CAMERA_DISTANCE - rotated[i + 2])
    out[i] = cx + rotated[i] * factor
    out[i + 1] = cy - rotated[i + 1] * factor
    out[i + 2] = rotated[i + 2] * scale
  }
  return out
}
