// @ts-check
/** Registers HiFi-Portrait's part of the front end: the face on Generate Landmarks. */
import { register } from './src/host.js'
import { attachFace, loadData } from './src/node.js'

const style = document.createElement('link')
style.rel = 'stylesheet'
style.href = new URL('./hifi_portrait.css', import.meta.url).href
document.head.append(style)

register({
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
  // A node that finds nothing loaded tries again, and shows what is wrong.
  prepare: () => loadData().catch(() => {}),
  nodes: { HiFiPortraitGenerateLandmarks: attachFace }
})
