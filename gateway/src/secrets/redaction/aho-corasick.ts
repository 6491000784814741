import { randomInt } from 'node:crypto'

const ascii = 128

/**
 * Searches for many texts at once (Aho-Corasick). The cost per letter does not grow with the number
 * of texts.
 */
export class AhoCorasick {
  readonly texts: readonly string[]
  /**
   * For each node, by its number: `depth` is how many letters lead to it. `found` is the index of
   * the longest text that ends there, or -1.
   */
  readonly depth: Uint32Array
  readonly found: Int32Array
  /** The node for the longest suffix of a node's letters that also begins a text. */
  readonly #back: Int32Array
  readonly #parent: Int32Array
  readonly #letter: Uint16Array
  /**
   * The results of `step` for the root and the nodes just below it, at node * 128 + letter, for
   * ASCII letters. Most letters of a text are looked up here, so a fast caller reads it before it
   * calls `step`.
   */
  readonly near: Int32Array
  /** Hash table of nodes by their parent and letter. */
  readonly #table: Int32Array
  /** Random, so that nobody can choose texts that all collide in the table. */
  readonly #mix = randomInt(2 ** 31) * 2 + 1
  #nodes = 1

  constructor(texts: Iterable<string>) {
    this.texts = [...new Set(texts)]
    const size = this.texts.reduce((sum, { length }) => sum + length, 1)
    this.depth = new Uint32Array(size)
    this.found = new Int32Array(size).fill(-1)
    this.#back = new Int32Array(size)
    this.#parent = new Int32Array(size)
    this.#letter = new Uint16Array(size)
    this.#table = new Int32Array(2 ** Math.ceil(Math.log2(2 * size)))

    // All first letters, then all second ones: the nodes below a node need its `#back`.
    const ends = new Int32Array(this.texts.length)
    let open = [...this.texts.keys()]
    for (let at = 0; open.length > 0; at++) {
      const nodesAbove = this.#nodes
      for (const index of open)
        ends[index] = this.#grow(ends[index]!, this.texts[index]!.charCodeAt(at))
      for (const index of open)
        if (this.texts[index]!.length === at + 1) this.found[ends[index]!] = index
      for (let node = nodesAbove; node < this.#nodes; node++) {
        const back = at === 0 ? 0 : this.step(this.#back[this.#parent[node]!]!, this.#letter[node]!)
        this.#back[node] = back
        if (this.found[node]! < 0) this.found[node] = this.found[back]!
      }
      open = open.filter((index) => this.texts[index]!.length > at + 1)
    }

    const near = Math.min(this.#nodes, this.depth.findIndex((depth) => depth > 1) >>> 0)
    this.near = Int32Array.from({ length: near * ascii }, (_, at) =>
      this.step(Math.floor(at / ascii), at % ascii),
    )
  }

  /** The next node after a letter. 0 is the root. */
  step(from: number, code: number): number {
    for (let node = from; ; node = this.#back[node]!) {
      const to = this.#table[this.#slot(node, code)]!
      if (to !== 0 || node === 0) return to
    }
  }

  #grow(node: number, code: number): number {
    const slot = this.#slot(node, code)
    if (this.#table[slot] !== 0) return this.#table[slot]!
    const fresh = this.#nodes++
    this.#parent[fresh] = node
    this.#letter[fresh] = code
    this.depth[fresh] = this.depth[node]! + 1
    this.#table[slot] = fresh
    return fresh
  }

  /** The slot of a node's child for this letter, or the free slot for it. */
  #slot(node: number, code: number): number {
    const last = this.#table.length - 1
    for (
      let slot =
        Math.imul(Math.imul(node, 0x9e3779b1) ^ Math.imul(code, 0x85ebca6b), this.#mix) >>> 7;
      ;
      slot++
    ) {
      const at = slot & last
      const known = this.#table[at]!
      if (known === 0 || (this.#parent[known] === node && this.#letter[known] === code)) return at
    }
  }
}
