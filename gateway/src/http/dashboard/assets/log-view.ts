import { type Group, isOpenAtFirst, type LogModel } from '../log/log-model.ts'
import { LogLayout, type Place } from '../log/log-layout.ts'
import { element, headingRow, lineRow, type LineLook, columnsIn, writeHeading } from './log-rows.ts'

/** As in `log.css`. All rows have the same height, so the place of each is known without drawing it. */
const rowPx = 20
const rowsAround = 20
/** A reader this close to the end follows it. */
const endPx = 10
/** So long it measures lines before it draws. */
const sliceMs = 8

/** Shows a log of any length: only the rows that can be seen are elements. */
export class LogView {
  /** The box that scrolls. */
  readonly box = element('div', 'log-box')
  /** Whether the view stays at the end while the log grows. */
  isFollowing: boolean
  readonly layout: LogLayout
  /** Called when `isFollowing` may have changed. */
  onFollow = () => {}
  readonly #groups: readonly Group[]
  readonly #space = element('div', 'log-space')
  readonly #drawn = new Map<string, HTMLElement>()
  /** What the reader has opened or closed. */
  readonly #chosen = new Map<Group, boolean>()
  /** The row at the upper edge, and how far it is above it. */
  #anchor: (Place & { px: number }) | null = null
  /** The row to show next. A scroll that comes before it must not take its place. */
  #wanted: (Place & { px: number }) | null = null
  /** Where the view itself has scrolled to. */
  #ownTop = 0
  #selected = ''
  readonly #look: LineLook = { find: null, times: 'off', startedAt: null }
  #isWrapped = false
  /** The row that Tab leads to. */
  #current: Place | null = null
  #isFocusDue = false
  #isDue = false

  constructor(model: LogModel, isFollowing: boolean) {
    this.#groups = model.groups
    this.layout = new LogLayout(model.groups, (group) => this.isOpen(group))
    this.isFollowing = isFollowing
    this.box.tabIndex = 0
    this.box.role = 'region'
    this.box.ariaLabel = 'Lines of the log'
    this.box.append(this.#space)
    this.box.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    this.box.addEventListener('click', (event) => this.#clicked(event))
    this.box.addEventListener('focusin', ({ target }) => {
      this.#current = this.placeOf(target) ?? this.#current
    })
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

  /** Draws lines in another way: with marks, with times, or wrapped. */
  look({
    isWrapped = this.#isWrapped,
    ...look
  }: Partial<LineLook> & { isWrapped?: boolean }): void {
    Object.assign(this.#look, look)
    this.#isWrapped = isWrapped
    this.box.classList.toggle('wrap', isWrapped)
    for (const row of this.#drawn.values()) row.remove()
    this.#drawn.clear()
    this.#wanted ??= this.#anchor
    this.changed()
  }

  /** The row of an element. Null: it is in none. */
  placeOf(target: EventTarget | null): Place | null {
    const row = target instanceof Element ? target.closest<HTMLElement>('[data-group]') : null
    const group = this.#groups[Number(row?.dataset['group']) - 1]
    return group ? { group, line: Number(row!.dataset['line']) } : null
  }

  /** The row that has the focus, or is about to get it. */
  focused(target: EventTarget | null): Place | null {
    return this.#isFocusDue ? this.#current : this.placeOf(target)
  }

  /** Brings the focus to a row, and the row into sight. */
  focus(place: Place): void {
    this.isFollowing = false
    this.#current = place
    this.#isFocusDue = true
    this.onFollow()
    this.changed()
  }

  open(group: Group, isOpen: boolean): void {
    this.#chosen.set(group, isOpen)
    this.isFollowing = false
    this.onFollow()
    this.changed()
  }

  /** Opens a group, and shows one of its lines. `line`: its number, or 0 for the heading. */
  show(group: Group, line: number): void {
    const at = Math.min(line - group.first, group.lines.length - 1)
    this.isFollowing = false
    this.#chosen.set(group, true)
    this.#selected = line > 0 ? `s${group.number}L${line}` : ''
    this.layout.update()
    this.#current = { group, line: Math.max(-1, at) }
    this.#wanted = { ...this.#current, px: -Math.floor(this.box.clientHeight / 3) }
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
    if (!this.isFollowing && this.isOpen(group)) this.#chosen.set(group, true)
  }

  /** Whether the lines of a group are shown. */
  isOpen(group: Group): boolean {
    return this.#chosen.get(group) ?? isOpenAtFirst(group)
  }

  #render(): void {
    this.layout.wrapAt(this.#isWrapped ? this.#columns() : Infinity)
    this.layout.update(performance.now() + sliceMs)
    if (!this.layout.isComplete) this.changed()
    this.#space.style.height = `${this.layout.count * rowPx}px`
    const upper = this.#wanted ?? this.#anchor
    this.#wanted = null
    if (this.isFollowing) this.box.scrollTop = this.layout.count * rowPx
    else if (upper) this.box.scrollTop = this.layout.rowOf(upper) * rowPx + upper.px
    if (this.#isFocusDue) this.#bringIntoSight(this.#current!)
    this.#ownTop = this.box.scrollTop
    this.#draw()
  }

  /** How many characters of a line fit into a row. */
  #columns(): number {
    const columns = columnsIn(this.#space, this.box.clientWidth, this.#look)
    this.box.style.setProperty('--columns', String(columns))
    return columns
  }

  #bringIntoSight(place: Place): void {
    const { scrollTop, clientHeight } = this.box
    const top = this.layout.rowOf(place) * rowPx
    const end = top + this.layout.heightOf(place) * rowPx
    if (top < scrollTop) this.box.scrollTop = top
    else if (end > scrollTop + clientHeight) this.box.scrollTop = end - clientHeight
  }

  #draw(): void {
    const { scrollTop, clientHeight } = this.box
    const top = Math.floor(scrollTop / rowPx)
    const to = Math.min(this.layout.count, top + Math.ceil(clientHeight / rowPx) + rowsAround)
    const unseen = new Set(this.#drawn.keys())
    let last: HTMLElement | null = null
    for (const place of this.layout.places(Math.max(0, top - rowsAround), to)) {
      const row = this.#rowAt(place)
      row.style.top = `${this.layout.rowOf(place) * rowPx}px`
      row.style.height = `${this.layout.heightOf(place) * rowPx}px`
      // In the order of the log, for those who hear it.
      if (row.parentNode !== this.#space)
        if (last) last.after(row)
        else this.#space.prepend(row)
      last = row
      unseen.delete(keyOf(place))
    }
    for (const key of unseen) {
      const row = this.#drawn.get(key)!
      if (row.contains(document.activeElement)) continue // it would lose the focus
      row.remove()
      this.#drawn.delete(key)
    }
    const [first] = this.layout.places(top, top + 1)
    this.#anchor = first ? { ...first, px: scrollTop - this.layout.rowOf(first) * rowPx } : null
    this.#setTabStop(first ?? null)
  }

  /** Tab leads to one row: the one that had the focus, or the upper one. */
  #setTabStop(first: Place | null): void {
    const isDrawn = this.#current !== null && this.#drawn.has(keyOf(this.#current))
    const stop = isDrawn ? this.#current : first
    for (const [key, row] of this.#drawn) {
      const control = row.querySelector<HTMLElement>('a, button')!
      const isStop = stop !== null && key === keyOf(stop)
      control.tabIndex = isStop ? 0 : -1
      if (isStop && this.#isFocusDue) control.focus({ preventScroll: true })
    }
    this.#isFocusDue = false
  }

  #rowAt(place: Place): HTMLElement {
    const { group, line } = place
    const key = keyOf(place)
    let row = this.#drawn.get(key)
    if (!row) {
      this.#look.startedAt ??= this.#groups[0]!.startedAt
      row = line === -1 ? headingRow() : lineRow(group, line, this.#look)
      row.dataset['group'] = String(group.number)
      row.dataset['line'] = String(line)
      this.#drawn.set(key, row)
    }
    if (line === -1) writeHeading(row, group, this.isOpen(group))
    else row.classList.toggle('selected', row.id === this.#selected)
    return row
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
    const place = this.placeOf(target)
    if (!place) return
    if (target?.closest('button')) this.open(place.group, !this.isOpen(place.group))
    else if (target?.closest('a')) {
      // The row is where the reader sees it: the browser would scroll the page.
      event.preventDefault()
      this.#selected = this.#drawn.get(keyOf(place))!.id
      history.replaceState(null, '', `#${this.#selected}`)
      this.changed()
    }
  }
}

const keyOf = ({ group, line }: Place): string => `${group.number} ${line}`
