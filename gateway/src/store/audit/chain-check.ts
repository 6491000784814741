import type { TrailState, TrailVerdict } from '#api/callers/audit-status.ts'
import { Body, type ChainKey, type ChainRow, type Head } from './chain.ts'
import type { FoundHead } from './head-file.ts'

type Segment = Extract<Body, { kind: 'segment' }>

const worstFirst = ['broken', 'cut', 'headless', 'whole'] as const

/**
 * Checks a trail, row by row from the oldest. Read the head before the rows: a gateway adds rows
 * first, and changes the head afterwards.
 */
export class ChainCheck {
  readonly #key: ChainKey
  readonly #head: FoundHead
  readonly #found: { state: TrailState; text: string }[] = []
  readonly #notes: string[] = []
  #entries = 0
  #before: ChainRow | null = null
  /** The oldest row, until the entry is found that says what was before it. */
  #oldest: ChainRow | null = null
  /** The first row with another volume's key, until the segment is found that says so. */
  #foreign: ChainRow | null = null
  #isHeadSeen = false

  constructor(key: ChainKey, head: FoundHead) {
    this.#key = key
    this.#head = head
  }

  /** Whether the rest cannot change the verdict. */
  get isBroken(): boolean {
    return this.#found.some(({ state }) => state === 'broken')
  }

  add(row: ChainRow): void {
    this.#entries++
    if (this.#head.kind === 'head' && this.#head.head.number === row.number) {
      this.#isHeadSeen = true
      if (this.#head.head.mac !== row.mac)
        this.#broken(row.number, 'it is not the one that the head file knows')
    }

    if (row.key_id === this.#key.id) this.#addOwn(row)
    else this.#foreign ??= row
    this.#before = row
  }

  end(): TrailVerdict {
    const last = this.#before
    if (this.#foreign) this.#broken(this.#foreign.number, 'it is not made with this volume’s key')
    if (this.#oldest)
      this.#broken(
        this.#oldest.number,
        `the entries before it are missing, and no retention removed them`,
      )
    this.#checkHead(last && { number: last.number, mac: last.mac })

    const state =
      worstFirst.find((each) => this.#found.some((one) => one.state === each)) ?? 'whole'
    const wrong = this.#found.filter((one) => one.state === state).map(({ text }) => text)
    return {
      state,
      detail: state === 'whole' ? this.#wholeText(last) : wrong.slice(0, 3).join(' '),
      notes: this.#notes.slice(-10),
      entries: this.#entries,
    }
  }

  #addOwn(row: ChainRow): void {
    const body = readBody(row)
    const { number } = row
    const before = this.#before
    if (!body) return this.#broken(number, 'it cannot be read')

    const segment = body.kind === 'segment' ? body : null
    const expected = segment ? (segment.last?.number ?? 0) : number - 1
    if (before && before.number !== expected)
      return this.#broken(number, missingText(before.number + 1, number - 1))

    const isStart = segment?.last === null
    if (!before && !isStart) this.#oldest = row
    else if (!this.#key.isCode(row, before?.mac ?? ''))
      return this.#broken(number, 'it was changed, or the one before it')

    if (this.#foreign && this.#foreign.number !== segment?.foreign)
      return this.#broken(this.#foreign.number, 'it is not made with this volume’s key')
    if (segment) this.#addSegment(segment, row)
    if (body.kind === 'pruned') this.#usePruned(body.last)
  }

  #addSegment({ why, last, asked }: Segment, { number, at }: ChainRow): void {
    const on = `on ${at.slice(0, 16).replace('T', ' ')} UTC`
    if (why === 'cut')
      this.#add(
        'cut',
        `${missingText((last?.number ?? 0) + 1, number - 1)}. The gateway found this ${on}.`,
      )
    if (why === 'headless')
      this.#add(
        'headless',
        `The head file was missing ${on}, at entry ${number}: whether entries before it are missing cannot be said.`,
      )
    if (why === 'restored') {
      const earlier = asked?.['earlier']
      this.#notes.push(
        `Entry ${number}: records restored from a backup ${on}.${typeof earlier === 'string' ? ` The records of before, with their own trail, are in ${earlier}.` : ''}`,
      )
      if (this.#foreign)
        this.#notes.push(
          `The entries from ${this.#foreign.number} to ${last?.number} came with that backup from another volume. Only its key can check them.`,
        )
    }
    this.#foreign = null
  }

  /** The first row's code is checked with the code that the retention noted. */
  #usePruned(last: Head): void {
    const oldest = this.#oldest
    if (!oldest || last.number < oldest.number - 1) return
    this.#oldest = null
    if (last.number > oldest.number - 1 || !this.#key.isCode(oldest, last.mac))
      this.#broken(oldest.number, 'it was changed, or removed by the retention and put back')
  }

  #checkHead(last: Head | null): void {
    if (this.#head.kind === 'none') {
      if (last)
        this.#add(
          'headless',
          `The head file ${this.#head.why}: whether the newest entries are missing cannot be said.`,
        )
      return
    }
    if (this.#head.kind === 'restored') {
      this.#notes.push(
        'The records were restored from a backup. The next start of the gateway notes this in the trail.',
      )
      return
    }
    const { number } = this.#head.head
    if (number > (last?.number ?? 0))
      this.#add('cut', `${missingText((last?.number ?? 0) + 1, number)}.`)
    else if (!this.#isHeadSeen) this.#broken(number, 'it is missing, and the head file knows it')
  }

  #wholeText(last: ChainRow | null): string {
    if (!last) return 'The trail has no entries.'
    const entries = this.#entries === 1 ? '1 entry' : `${this.#entries} entries`
    return `Nobody but the gateway added, changed or removed anything: ${entries}, the newest is number ${last.number}.`
  }

  #broken(number: number, why: string): void {
    if (!this.isBroken) this.#add('broken', `The trail is broken at entry ${number}: ${why}.`)
  }

  #add(state: TrailState, text: string): void {
    this.#found.push({ state, text })
  }
}

const missingText = (from: number, to: number) =>
  from >= to ? `Entry ${from} is missing` : `Entries ${from} to ${to} are missing`

export function readBody({ body }: Pick<ChainRow, 'body'>): Body | null {
  try {
    return Body.parse(JSON.parse(body))
  } catch {
    return null
  }
}
