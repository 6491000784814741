/** A set of texts to look for all at once (Aho-Corasick): the cost of a letter does not grow with their number. */
export class Literals {
  /** For each node, by its number: how many letters lead to it, and which of the texts ends there (the longest), or -1. */
  readonly depth: Uint32Array
  readonly found: Int32Array
  readonly texts: readonly string[]
  readonly #letter: Uint16Array
  readonly #child: Int32Array
  readonly #sibling: Int32Array
  /** The node of the longest ending of this one's letters that begins a text too. */
  readonly #back: Int32Array
  readonly #roots = new Int32Array(65_536)
  #nodes = 1

  constructor(texts: Iterable<string>) {
    this.texts = [...new Set(texts)]
    const size = this.texts.reduce((sum, { length }) => sum + length, 1)
    this.depth = new Uint32Array(size)
    this.found = new Int32Array(size).fill(-1)
    this.#letter = new Uint16Array(size)
    this.#child = new Int32Array(size)
    this.#sibling = new Int32Array(size)
    this.#back = new Int32Array(size)
    const queue: number[] = []
    for (const [index, text] of this.texts.entries()) {
      let node = 0
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i)
        const known = this.#down(node, code)
        if (known === 0 && node === 0) queue.push(this.#nodes)
        node = known || this.#grow(node, code)
      }
      this.found[node] = index
    }
    for (let at = 0; at < queue.length; at++) {
      const node = queue[at]!
      for (let child = this.#child[node]!; child !== 0; child = this.#sibling[child]!) {
        const back = this.step(this.#back[node]!, this.#letter[child]!)
        this.#back[child] = back
        if (this.found[child]! < 0) this.found[child] = this.found[back]!
        queue.push(child)
      }
    }
  }

  /** Where a letter leads to, from a node; 0 is the beginning. */
  step(from: number, code: number): number {
    for (let node = from; ; node = this.#back[node]!) {
      const to = this.#down(node, code)
      if (to !== 0 || node === 0) return to
    }
  }

  #down(node: number, code: number): number {
    if (node === 0) return this.#roots[code]!
    let to = this.#child[node]!
    while (to !== 0 && this.#letter[to] !== code) to = this.#sibling[to]!
    return to
  }

  #grow(node: number, code: number): number {
    const fresh = this.#nodes++
    this.#letter[fresh] = code
    this.depth[fresh] = this.depth[node]! + 1
    if (node === 0) this.#roots[code] = fresh
    else {
      this.#sibling[fresh] = this.#child[node]!
      this.#child[node] = fresh
    }
    return fresh
  }
}
