import { randomInt } from 'node:crypto'

const ascii = 128

/** A set of texts to look for all at once (Aho-Corasick): the cost of a letter does not grow with their number. */
export class AhoCorasick {
  readonly texts: readonly string[]
  /** For each node, by its number: how many letters lead to it, and which of the texts ends there (the longest), or -1. */
  readonly depth: Uint32Array
  readonly found: Int32Array
  /** The node of the longest ending of a node's letters that begins a text too. */
  readonly #back: Int32Array
  readonly #parent: Int32Array
  readonly #letter: Uint16Array
  /**
   * What `step` answers for the beginning and the nodes just below it, at node * 128 + letter, for letters of ASCII. Most
   * of a text is read there: a caller in a hurry looks here first.
   */
  readonly near: Int32Array
  /** Nodes by their parent and letter, hashed. */
  readonly #table: Int32Array
  /** Nobody outside knows it, so nobody can choose texts that all get the same place in the table. */
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

    // All first letters, then all second ones: a node's way back is known before those below it need theirs.
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

  /** Where a letter leads to, from a node; 0 is the beginning. */
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

  /** Where the table has the node below this one by this letter, or has room for it. */
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
