// @ts-check
/** The widget's own words in English; names of inputs come from the node's translations in `locales/`. */

/** @typedef {Record<string, string>} Words */

/** @type {Words} */
export const en = {
  face: 'Face',
  neutral: 'neutral',
  face_control: '3D face',
  tools: 'View and reset',
  hint:
    'Drag to turn, Shift+drag to move, Alt+drag to tilt, wheel to scale (after a click), double-click to reset. ' +
    'Drag mouth, brows, lids or pupils to change the expression. Keys: arrows, Shift+arrows, Alt+arrows, + and -, Home; ' +
    'N picks a part, Ctrl+arrows moves it.',
  style: 'Person, clay, landmarks, or both',
  compare: 'Reference and target side by side',
  mirror: 'Mirror pose and expression',
  reset_head: 'Reset the head (double-click)',
  reset_face: 'Neutral expression',
  reference: 'Reference',
  target: 'Target',
  expressions: 'Expressions',
  poses: 'Head',
  favourites: 'Favourites',
  favourite_hint: 'Delete removes it',
  add: 'Keep this pose and expression with the workflow',
  add_short: 'Keep this',
  remove: 'Remove',
  sliders: 'Sliders',
  'group.head': 'Head',
  'group.mouth': 'Mouth',
  'group.eyes': 'Eyes',
  'group.brows': 'Brows',
  'group.cheeks': 'Cheeks',
  'group.all': 'All',
  'preset.neutral': 'Neutral',
  'preset.smile': 'Smile',
  'preset.laugh': 'Laugh',
  'preset.surprise': 'Surprise',
  'preset.anger': 'Anger',
  'preset.sadness': 'Sadness',
  'preset.disgust': 'Disgust',
  'preset.kiss': 'Kiss',
  'preset.wink': 'Wink',
  'preset.sleep': 'Sleep',
  'preset.doubt': 'Doubt',
  'preset.talk': 'Talk',
  'pose.front': 'Front',
  'pose.quarter_left': '3/4 left',
  'pose.quarter_right': '3/4 right',
  'pose.profile_left': 'Profile left',
  'pose.profile_right': 'Profile right',
  'pose.look_up': 'Look up',
  'handle.mouth_corner_right': 'Right corner of the mouth',
  'handle.mouth_corner_left': 'Left corner of the mouth',
  'handle.lower_lip': 'Lower lip',
  'handle.upper_lip': 'Upper lip',
  'handle.chin': 'Chin',
  'handle.brow_inner_right': 'Right brow, inner end',
  'handle.brow_inner_left': 'Left brow, inner end',
  'handle.brow_outer_right': 'Right brow, outer end',
  'handle.brow_outer_left': 'Left brow, outer end',
  'handle.lid_right': 'Right upper lid',
  'handle.lid_left': 'Left upper lid',
  'handle.lower_lid_right': 'Right lower lid',
  'handle.lower_lid_left': 'Left lower lid',
  'handle.pupil_right': 'Right pupil',
  'handle.pupil_left': 'Left pupil'
}

/** Languages beside English; each has a file in `data/words`, fetched by those who use it. */
export const OTHERS = ['zh', 'zh-TW', 'ja', 'ko', 'ru', 'fr', 'es', 'pt-BR', 'tr', 'it', 'ar', 'fa', 'he']

/**
 * @param {string} locale ComfyUI's, such as `zh` or `zh-TW`
 * @returns {Promise<(key: string) => string>} the words of that language, English where it has none
 */
export async function translator(locale) {
  const language = [locale, locale.split('-')[0]].find((one) => OTHERS.includes(one))
  /** @type {Words} */
  let words = {}
  if (language) {
    const answer = await fetch(new URL(`../data/words/${language}.json`, import.meta.url)).catch(() => null)
    if (answer?.ok) words = await answer.json()
  }
  return (key) => words[key] ?? en[key] ?? key.split('.').pop() ?? key
}
