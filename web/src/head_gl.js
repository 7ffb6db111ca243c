// @ts-check
/** Draws textured heads with WebGL; one context serves all nodes, for browsers allow only a few. */
import { CAMERA_DISTANCE, rotation } from './camera.js'

const VERTEX = `#version 300 es
in vec3 position;
in vec3 normal;
in vec2 uv;
uniform vec3 place;
uniform vec2 size;
uniform mat3 turn;
out vec2 at;
out float facing;
void main() {
  float distance = ${CAMERA_DISTANCE.toFixed(1)};
  float w = (distance - position.z) / distance;
  vec2 px = place.xy * w + place.z * vec2(position.x, -position.y);
  gl_Position = vec4((2.0 * px / size - w) * vec2(1.0, -1.0), -0.1 * position.z * w, w);
  at = uv;
  facing = (turn * normal).z;
}`

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 at;
in float facing;
uniform sampler2D head;
uniform vec3 lids;
uniform vec2 shut;
out vec4 colour;
vec3 texel(float row) {
  return texture(head, vec2(at.x, row / lids.z)).rgb;
}
void main() {
  float row = at.y * lids.x;
  vec3 skin = texel(row);
  float below = row - lids.y;
  float closed = at.x < 0.5 ? shut.x : shut.y;
  if (closed > 0.0 && below > 0.5 && below < lids.z - 2.0 * lids.x - 0.5) {
    skin = mix(skin, texel(2.0 * lids.x + below), closed);
  }
  float opacity = texel(lids.x + row).r;
  float alpha = min(1.0, opacity + smoothstep(0.15, 0.5, facing));
  if (alpha < 0.03) discard;
  colour = vec4(skin * alpha, alpha);
}`

/**
 * @param {WebGL2RenderingContext} gl
 * @param {number} kind
 * @param {string} source
 */
function compile(gl, kind, source) {
  const shader = /** @type {WebGLShader} */ (gl.createShader(kind))
  gl.shaderSource(shader, source)
  gl.compileShader(shader)
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) ?? 'shader')
  return shader
}

export class HeadGl {
  /**
   * @param {WebGL2RenderingContext} gl
   * @param {import('./head_mesh.js').HeadMesh} mesh
   */
  constructor(gl, mesh) {
    this.gl = gl
    this.mesh = mesh
    const program = gl.createProgram()
    gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX))
    gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, FRAGMENT))
    gl.linkProgram(program)
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'program')
    gl.useProgram(program)
    this.uniforms = Object.fromEntries(
      ['place', 'size', 'turn', 'lids', 'shut'].map((name) => [name, gl.getUniformLocation(program, name)])
    )
    this.buffers = {
      position: this.attribute(program, 'position', 3),
      normal: this.attribute(program, 'normal', 3),
      uv: this.attribute(program, 'uv', 2)
    }
    this.fill(this.buffers.uv, mesh.uv)
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer())
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.triangles, gl.STATIC_DRAW)
    /** @type {WeakMap<import('./head_person.js').HeadPerson, { texture: WebGLTexture, normals: Float32Array }>} */
    this.people = new WeakMap()
    gl.enable(gl.DEPTH_TEST)
    gl.enable(gl.CULL_FACE)
    gl.frontFace(gl.CW)
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
  }

  /**
   * @param {import('./head_mesh.js').HeadMesh} mesh
   * @param {boolean} [anyhow] also where a processor does the graphics card's work, which is slower than `HeadRaster`
   * @returns {HeadGl | null} null where the browser has no WebGL 2
   */
  static create(mesh, anyhow = false) {
    const canvas = document.createElement('canvas')
    const gl = canvas.getContext('webgl2', {
      premultipliedAlpha: true,
      antialias: true,
      preserveDrawingBuffer: true,
      failIfMajorPerformanceCaveat: !anyhow
    })
    return gl && new HeadGl(gl, mesh)
  }

  /** Whether the browser took the context away; another is made then. */
  get lost() {
    return this.gl.isContextLost()
  }

  /**
   * @param {WebGLProgram} program
   * @param {string} name
   * @param {number} width
   */
  attribute(program, name, width) {
    const { gl } = this
    const buffer = gl.createBuffer()
    const location = gl.getAttribLocation(program, name)
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
    gl.enableVertexAttribArray(location)
    gl.vertexAttribPointer(location, width, gl.FLOAT, false, 0, 0)
    return buffer
  }

  /** @param {WebGLBuffer} buffer @param {Float32Array} values */
  fill(buffer, values) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer)
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.DYNAMIC_DRAW)
  }

  /** @param {import('./head_person.js').HeadPerson} person */
  known(person) {
    let found = this.people.get(person)
    if (!found) {
      const { gl } = this
      const texture = gl.createTexture()
      gl.bindTexture(gl.TEXTURE_2D, texture)
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, person.texture)
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR)
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE)
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE)
      found = { texture, normals: this.mesh.normals(person.places) }
      this.people.set(person, found)
    }
    return found
  }

  /**
   * @param {import('./head_person.js').HeadPerson} person
   * @param {Float32Array} vertices (V, 3) posed, camera frame
   * @param {[number, number, number]} pose degrees, for the normals
   * @param {import('./camera.js').Placement} place px of the picture
   * @param {number} width px
   * @param {number} height px
   * @param {[number, number]} shut how far closed lids are mixed in, right and left
   * @returns {HTMLCanvasElement} the picture, valid until the next call
   */
  draw(person, vertices, pose, place, width, height, shut) {
    const { gl } = this
    const canvas = /** @type {HTMLCanvasElement} */ (gl.canvas)
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width
      canvas.height = height
    }
    const { texture, normals } = this.known(person)
    gl.viewport(0, 0, width, height)
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT)
    gl.bindTexture(gl.TEXTURE_2D, texture)
    gl.uniform3f(this.uniforms.place, place.cx, place.cy, place.scale)
    gl.uniform2f(this.uniforms.size, width, height)
    gl.uniform3f(this.uniforms.lids, person.lids.side, person.lids.top, person.texture.height)
    gl.uniform2f(this.uniforms.shut, ...shut)
    gl.uniformMatrix3fv(this.uniforms.turn, true, rotation(...pose))
    this.fill(this.buffers.normal, normals)
    this.fill(this.buffers.position, vertices)
    gl.drawElements(gl.TRIANGLES, this.mesh.triangles.length, gl.UNSIGNED_SHORT, 0)
    return canvas
  }
}
