// @ts-check
/** Registers HiFi-Portrait's part of the front end: the face on Generate Landmarks. */
// @ts-ignore: served by ComfyUI
import { api } from '../../scripts/api.js'
// @ts-ignore: served by ComfyUI
import { app } from '../../scripts/app.js'
import { attachFace, loadData } from './src/node.js'

const NODES = new Set(['HiFiPortraitGenerateLandmarks'])

const style = document.createElement('link')
style.rel = 'stylesheet'
style.href = new URL('./hifi_portrait.css', import.meta.url).href
document.head.append(style)

const locale = () => app.extensionManager?.setting?.get('Comfy.Locale') ?? 'en'

// The front end looks for changes after clicks and keys; what a run brings would be lost by a reload before those.
const keep = () => app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.()

app.registerExtension({
  name: 'HiFiPortrait.Face',
  settings: [
    {
      // Read by nodes/provenance.py when a job is queued.
      id: 'HiFiPortrait.MarkAsGenerated',
      name: 'Mark pictures as generated',
      tooltip: "Writes IPTC's statement that a picture was made by a trained model, and the licences of the model files, into every saved picture of a graph with HiFi-Portrait's nodes.",
      type: 'boolean',
      defaultValue: true
    }
  ],
  async init() {
    // A node that finds nothing loaded tries again, and shows what is wrong.
    await loadData(locale()).catch(() => {})
  },
  /** @param {any} node */
  nodeCreated(node) {
    if (!NODES.has(node.comfyClass)) return
    attachFace(node, locale(), { address: (path) => api.apiURL(path), keep })
  }
})
