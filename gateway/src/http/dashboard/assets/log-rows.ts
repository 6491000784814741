import { durationText } from '../parts/duration.ts'
import { coloured, maxShownChars } from '../log/coloured.ts'
import { groupName, linesText, statusMarks, statusWords } from '../log/group-heading.ts'
import type { Group, Line } from '../log/log-model.ts'

/** The row of a line. `needle`: what the reader searches for, in lower case. */
export function lineRow(group: Group, at: number, needle: string): HTMLElement {
  const line = group.lines[at]!
  const row = element('div', `line ${line.kind}`)
  row.id = `s${group.number}L${group.first + at}`
  const link = element('a', '', String(group.first + at))
  link.href = `#${row.id}`
  link.title = new Date(line.at).toLocaleString()
  row.append(link, textOf(line, needle))
  return row
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
function textOf({ text }: Line, needle: string): HTMLElement {
  const all = element('span', '')
  const pieces = coloured(text.slice(0, maxShownChars))
  const ends = matchesIn(pieces.map((piece) => piece.text).join(''), needle)
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

type Match = { from: number; to: number }

function matchesIn(text: string, needle: string): Match[] {
  const found: Match[] = []
  if (needle === '') return found
  const lower = text.toLowerCase()
  for (let at = lower.indexOf(needle); at !== -1; at = lower.indexOf(needle, at + needle.length))
    found.push({ from: at, to: at + needle.length })
  return found
}

/** The parts of a piece, which begins at `start` of its line. */
function* marked(text: string, start: number, matches: Match[]): Generator<string | HTMLElement> {
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
