// @ts-check

/**
 * Colours of ComfyUI's current theme; the second name is an older front end's, the third a last resort.
 *
 * @param {Element} element
 * @returns {import('./face_view.js').Theme}
 */
export function readTheme(element) {
  const style = getComputedStyle(element)
  const pick = (/** @type {string[]} */ ...names) => {
    const last = names.pop() ?? ''
    for (const name of names) {
      const value = style.getPropertyValue(name).trim()
      if (value) return value
    }
    return last
  }
  return {
    background: pick('--comfy-input-bg', '--comfy-menu-bg', '#222'),
    text: pick('--input-text', '--fg-color', '#ddd'),
    muted: pick('--descrip-text', '--drag-text', '#999'),
    line: pick('--border-color', '#4e4e4e'),
    accent: pick('--p-primary-color', '--p-button-text-primary-color', '#5aa9ff')
  }
}
