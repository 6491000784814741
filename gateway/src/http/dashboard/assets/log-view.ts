import { type Group, isOpenAtFirst, type LogModel } from '../log/log-model.ts'
import { element, headingRow, lineRow, writeHeading } from './log-rows.ts'

/** As in `log.css`. All rows have the same height, so the place of each is known without drawing it. */
const rowPx = 20
const rowsAround = 20
/** A reader this close to the end follows it. */
const endPx = 10

/** A row: the heading of a group, or one of its lines. `line`: its index, or -1 for the heading. */
type Place = { group: Group; line: number }

/** Shows a log of any length: only the rows that can be seen are elements. */
export class LogView {
  /** The box that scrolls. */
  readonly box = element('div', 'log-box')
  /** Whether the view stays at the end while the log grows. */
  isFollowing: boolean
  /** Called when `isFollowing` may have changed. */
  onFollow = () => {}
  readonly #model: LogModel
  readonly #space = element('div', 'log-space')
  readonly #drawn = new Map<string, HTMLElement>()
  /** What the reader has opened or closed. */
  readonly #chosen = new Map<Group, boolean>()
  /** The number of the first row of each group. */
  #tops: number[] = []
  #count = 0
  /** The row at the upper edge, and how far it is above it. */
  #anchor: (Place & { px: number }) | null = null
  /** The row to show next. A scroll that comes before it must not take its place. */
  #wanted: (Place & { px: number }) | null = null
  /** Where the view itself has scrolled to. */
  #ownTop = 0
  #selected = ''
  #needle = ''
  #isDue = false

  constructor(model: LogModel, isFollowing: boolean) {
    this.#model = model
    this.isFollowing = isFollowing
    this.box.tabIndex = 0
    this.box.role = 'region'
    this.box.ariaLabel = 'Lines of the log'
    this.box.append(this.#space)
    this.box.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    this.box.addEventListener('click', (event) => this.#clicked(event))
    new ResizeObserver(() => this.changed()).observe(this.box)
  }

  /** Draws what has changed, in the next frame. */
  changed(): void {
    if (this.#isDue) return
    this.#isDue = true
    requestAnimationFrame(() => {
      this.#isDue = false
      this.#render()
    })
  }

  /** Marks where this text is, in lower case. */
  highlight(needle: string): void {
    this.#needle = needle
    this.#forget()
    this.changed()
  }

  /** Opens a group, and shows one of its lines. `line`: its number, or 0 for the heading. */
  show(group: Group, line: number): void {
    const at = Math.min(line - group.first, group.lines.length - 1)
    this.isFollowing = false
    this.#chosen.set(group, true)
    this.#selected = line > 0 ? `s${group.number}L${line}` : ''
    this.#layOut()
    this.#wanted = { group, line: Math.max(-1, at), px: -Math.floor(this.box.clientHeight / 3) }
    this.onFollow()
    this.changed()
  }

  follow(isFollowing: boolean): void {
    this.isFollowing = isFollowing
    this.onFollow()
    this.changed()
  }

  /** Keeps a group open that ends while the reader is reading it. */
  hold(group: Group): void {
    if (!this.isFollowing && this.#isOpen(group)) this.#chosen.set(group, true)
  }

  #isOpen(group: Group): boolean {
    return this.#chosen.get(group) ?? isOpenAtFirst(group)
  }

  #render(): void {
    this.#layOut()
    this.#space.style.height = `${this.#count * rowPx}px`
    const upper = this.#wanted ?? this.#anchor
    this.#wanted = null
    if (this.isFollowing) this.box.scrollTop = this.#count * rowPx
    else if (upper) this.box.scrollTop = this.#rowOf(upper) * rowPx + upper.px
    this.#ownTop = this.box.scrollTop
    this.#draw()
  }

  #layOut(): void {
    const { groups } = this.#model
    this.#tops.length = groups.length
    let row = 0
    for (const [at, group] of groups.entries()) {
      this.#tops[at] = row
      row += 1 + (this.#isOpen(group) ? group.lines.length : 0)
    }
    this.#count = row
  }

  #rowOf({ group, line }: Place): number {
    return this.#tops[group.number - 1]! + (this.#isOpen(group) ? line + 1 : 0)
  }

  #draw(): void {
    const { scrollTop, clientHeight } = this.box
    const top = Math.floor(scrollTop / rowPx)
    const from = Math.max(0, top - rowsAround)
    const to = Math.min(this.#count, top + Math.ceil(clientHeight / rowPx) + rowsAround)
    const unseen = new Set(this.#drawn.keys())
    for (const place of this.#places(from, to)) {
      const row = this.#rowAt(place)
      row.style.top = `${this.#rowOf(place) * rowPx}px`
      if (row.parentNode !== this.#space) this.#space.append(row)
      unseen.delete(keyOf(place))
    }
    for (const key of unseen) {
      const row = this.#drawn.get(key)!
      if (row.contains(document.activeElement)) continue // it would lose the focus
      row.remove()
      this.#drawn.delete(key)
    }
    const [first] = this.#places(top, top + 1)
    this.#anchor = first ? { ...first, px: scrollTop - top * rowPx } : null
  }

  /** The places of the rows from one number to another. */
  *#places(from: number, to: number): Generator<Place> {
    const { groups } = this.#model
    let at = this.#tops.findLastIndex((top) => top <= from)
    for (let row = from; row < to && at < this.#tops.length; row++) {
      if (at + 1 < this.#tops.length && row >= this.#tops[at + 1]!) at++
      if (at < 0) return
      yield { group: groups[at]!, line: row - this.#tops[at]! - 1 }
    }
  }

  #rowAt(place: Place): HTMLElement {
    const { group, line } = place
    const key = keyOf(place)
    let row = this.#drawn.get(key)
    if (!row) {
      row = line === -1 ? headingRow() : lineRow(group, line, this.#needle)
      row.dataset['group'] = String(group.number)
      this.#drawn.set(key, row)
    }
    if (line === -1) writeHeading(row, group, this.#isOpen(group))
    else row.classList.toggle('selected', row.id === this.#selected)
    return row
  }

  #forget(): void {
    for (const row of this.#drawn.values()) row.remove()
    this.#drawn.clear()
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.box
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - endPx
    // Only the reader's own moves take hold of the end, or let go of it.
    if (scrollTop !== this.#ownTop && isAtEnd !== this.isFollowing) {
      this.isFollowing = isAtEnd
      this.onFollow()
    }
    this.#draw()
  }

  #clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null
    const row = target?.closest<HTMLElement>('[data-group]')
    const group = this.#model.groups[Number(row?.dataset['group']) - 1]
    if (!group) return
    if (target?.closest('button')) {
      this.#chosen.set(group, !this.#isOpen(group))
      this.isFollowing = false
      this.onFollow()
    } else if (target?.closest('a')) {
      // The row is where the reader sees it: the browser would scroll the page.
      event.preventDefault()
      this.#selected = row!.id
      history.replaceState(null, '', `#${row!.id}`)
    } else return
    this.changed()
  }
}

const keyOf = ({ group, line }: Place): string => `${group.number} ${line}`
