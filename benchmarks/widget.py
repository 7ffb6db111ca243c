"""What benchmarks of the face widget share: the widget on a page, and the time from a slider to a drawing."""

from __future__ import annotations

STYLE = """
  if (!document.querySelector('link')) {
    // Without its style the picture grows with every drawing.
    const style = document.createElement('link')
    Object.assign(style, { rel: 'stylesheet', href: '/web/hifi_portrait.css' })
    const loaded = new Promise((done) => { style.onload = done })
    document.head.append(style)
    await loaded
  }
"""
"""JavaScript: loads the widget's style once."""

WIDGET = """
  const table = await SliderTable.load(model.names)
  const values = table.defaults('pose', 'placement', 'expression')
  const widget = new FaceWidget(model, table, {
    values: () => ({ ...values }), set: (changed) => Object.assign(values, changed),
    canvas: () => ({ width: 1024, height: 1024 }), showGroup: () => {}
  }, { shape: [1, -0.5, 0.3] }, (key) => key)
  widget.element.style.cssText = 'width: 420px; height: 520px'
  document.body.replaceChildren(widget.element)
"""
"""JavaScript: makes ``widget`` and its ``table`` and ``values`` of ``model``."""

MOVE = """
  const times = []
  const ids = table.sliders.map((s) => s.id)
  for (let i = 0; i < moves; i++) {
    await new Promise(requestAnimationFrame)
    const slider = table.byId.get(ids[i % ids.length])
    const before = performance.now()
    widget.set({ [slider.id]: slider.min + Math.random() * (slider.max - slider.min) })
    if (widget.frameAsked) await new Promise(requestAnimationFrame)
    // Reading a pixel back waits until the drawing is done.
    widget.canvas.getContext('2d').getImageData(10, 10, 1, 1)
    times.push(performance.now() - before)
    if (i % ids.length === 0) Object.assign(values, table.defaults('pose', 'placement', 'expression'))
  }
"""
"""JavaScript: moves sliders ``moves`` times; ``times`` are milliseconds until each is drawn."""
