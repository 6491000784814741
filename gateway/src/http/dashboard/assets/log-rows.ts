import { durationText } from '../parts/duration.ts'
import { coloured, maxShownChars } from '../log/coloured.ts'
import { groupName, linesText, statusMarks, statusWords } from '../log/group-heading.ts'
import type { Group, Line } from '../log/log-model.ts'

/** Where a text has what the reader searches for. */
export type Finder = (text: string) => { from: number; to: number }[]

/** How lines are drawn. `startedAt`: the beginning of the log. */
export type LineLook = {
  find: Finder | null
  times: 'off' | 'clock' | 'elapsed'
  startedAt: string | null
}

/** The row of a line. */
export function lineRow(group: Group, at: number, look: LineLook): HTMLElement {
  const line = group.lines[at]!
  const row = element('div', `line ${line.kind}`)
  row.id = `s${group.number}L${group.first + at}`
  const link = element('a', '', String(group.first + at))
  link.href = `#${row.id}`
  link.title = new Date(line.at).toLocaleString()
  row.append(link)
  if (look.times !== 'off') row.append(element('span', 'at', timeText(line.at, look)))
  row.append(textOf(line, look.find))
  return row
}

/** `14:03:22`, or `+1 min 5 s` since the beginning. */
function timeText(at: string, { times, startedAt }: LineLook): string {
  if (times === 'clock') return new Date(at).toLocaleTimeString('en-GB')
  return `+${durationText(Date.parse(at) - Date.parse(startedAt ?? at))}`
}

/** How many characters fit into a row of this width. Infinity: nothing of it is on the page yet. */
export function columnsIn(space: HTMLElement, widthPx: number, look: LineLook): number {
  const row = element('div', 'line sample')
  const text = element('span', '', '0'.repeat(100))
  row.append(element('a', '', '1'))
  if (look.times !== 'off') row.append(element('span', 'at', '00:00:00'))
  row.append(text)
  space.append(row)
  const range = document.createRange()
  range.selectNodeContents(text)
  const character = range.getBoundingClientRect().width / 100
  const before = text.getBoundingClientRect().left - row.getBoundingClientRect().left
  const padding = parseFloat(getComputedStyle(text).paddingRight)
  row.remove()
  if (character === 0) return Infinity
  return Math.max(20, Math.floor((widthPx - before - padding) / character))
}

/** The row that opens and closes a group. */
export function headingRow(): HTMLElement {
  const row = element('div', 'heading')
  const button = element('button', '')
  button.type = 'button'
  row.append(button)
  return row
}

/** Writes the heading of a group, unless it is there already. */
export function writeHeading(row: HTMLElement, group: Group, isOpen: boolean): void {
  const { status, ms, count, startedAt } = group
  const written = [status, ms, count, startedAt, isOpen].join(' ')
  if (row.dataset['written'] === written) return
  row.dataset['written'] = written
  const { mood, shape } = statusMarks[status]
  const mark = element('span', `mark ${mood}`)
  const shown = element('span', 'shape', shape)
  shown.ariaHidden = 'true'
  mark.append(shown, statusWords[status])
  const time = element('span', 'quiet group-time')
  if (status === 'started') {
    time.dataset['since'] = startedAt
    time.textContent = durationText(Date.now() - Date.parse(startedAt), 0)
  } else if (ms !== null) time.textContent = durationText(ms)
  row.classList.toggle('empty', count === 0)
  const button = row.querySelector('button')!
  button.ariaExpanded = String(isOpen)
  const name = element('span', 'group-name', groupName(group))
  button.replaceChildren(mark, name, element('span', 'quiet', linesText(group)), time)
}

/** The text of a line with its colours, and with marks where the reader's search finds something. */
function textOf({ text }: Line, find: Finder | null): HTMLElement {
  const all = element('span', 'text')
  const pieces = coloured(text.slice(0, maxShownChars))
  const ends = find?.(pieces.map((piece) => piece.text).join('')) ?? []
  let start = 0
  for (const piece of pieces) {
    const parts = [...marked(piece.text, start, ends)]
    start += piece.text.length
    if (piece.classes === '') all.append(...parts)
    else {
      const span = element('span', piece.classes)
      span.append(...parts)
      all.append(span)
    }
  }
  if (text.length > maxShownChars)
    all.append(element('i', '', ` … ${text.length - maxShownChars} more characters`))
  return all
}

/** The parts of a piece, which begins at `start` of its line. */
function* marked(
  text: string,
  start: number,
  matches: ReturnType<Finder>,
): Generator<string | HTMLElement> {
  let at = 0
  for (const { from, to } of matches) {
    const [begin, end] = [Math.max(0, from - start), Math.min(text.length, to - start)]
    if (begin >= end) continue
    yield text.slice(at, begin)
    yield element('mark', '', text.slice(begin, end))
    at = end
  }
  yield text.slice(at)
}

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  classes: string,
  text?: string,
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name)
  if (classes !== '') made.className = classes
  if (text !== undefined) made.textContent = text
  return made
}
