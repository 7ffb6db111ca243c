// @ts-check
/** Brings the person of the last run, and again after a reload of the page. */
import { fetchPerson } from './head_person.js'
import { HeadView } from './head_view.js'

export class HeadLoader {
  /**
   * @param {(path: string) => string} address makes an address of the host's out of a path
   * @param {(head: HeadView | null) => void} loaded
   */
  constructor(address, loaded) {
    this.address = address
    this.loaded = loaded
    this.wanted = ''
  }

  /**
   * Show a person; the latest call wins.
   *
   * @param {import('./head_person.js').HostFile | null | undefined} file null for none
   */
  async show(file) {
    const wanted = JSON.stringify(file ?? null)
    if (wanted === this.wanted) return
    this.wanted = wanted
    let head = null
    try {
      const person = file ? await fetchPerson(file, this.address) : null
      head = person && (await HeadView.of(person))
    } catch (error) {
      console.warn('HiFi-Portrait: the head cannot be shown.', error)
    }
    if (wanted !== this.wanted) return
    // What could not be had is asked for again: a run after the host's restart writes the same file anew.
    if (file && !head) this.wanted = ''
    this.loaded(head)
  }
}
