import { attributes, html, type Html } from '../parts/html.ts'
import { durationText, runningSince } from '../parts/time.ts'
import { coloured, maxShownChars } from './coloured.ts'
import { groupName, linesText, statusMarks, statusWords } from './group-heading.ts'
import { type Group, isOpenAtFirst, type Line } from './log-model.ts'
import { linesOnPage, type LogWindow } from './read-log.ts'

/** The groups of a log as a page without a script shows them. */
export function renderGroups(groups: Group[], window: LogWindow | null): Html {
  // The status strip leads to the last time that a deployment was in a state.
  const lastOf = new Map(groups.map((group) => [group.state, group]))
  return html`${groups.map(
    (group) =>
      html`<details
        id="s${group.number}"
        ${attributes({ class: group.count === 0 && 'empty', open: isOpenAtFirst(group) || group.number === window?.group })}
      >
        <summary
          ${attributes({ id: group.state !== null && lastOf.get(group.state) === group && `state-${group.state}` })}
        >
          ${heading(group)}
        </summary>
        ${restBefore(group)}
        ${group.lines.map((line, at) => renderLine(group, line, group.first + at))}
        ${restAfter(group)}
      </details> `,
  )}`
}

function heading(group: Group): Html {
  const { mood, shape } = statusMarks[group.status]
  return html`<span class="mark ${mood}"
      ><span class="shape" aria-hidden="true">${shape}</span>${statusWords[group.status]}</span
    >
    <span class="group-name">${groupName(group)}</span>
    <span class="quiet">${linesText(group)}</span>
    <span class="quiet group-time">${timeOfGroup(group)}</span>`
}

const timeOfGroup = ({ status, ms, startedAt }: Group): Html | string => {
  if (status === 'started') return runningSince(startedAt)
  return ms === null ? '' : durationText(ms)
}

const renderLine = ({ number: group }: Group, { text, kind }: Line, number: number): Html =>
  html`<div class="line ${kind}" id="s${group}L${number}">
    <a href="#s${group}L${number}">${number}</a
    ><span
      >${coloured(text.slice(0, maxShownChars)).map((piece) =>
        piece.classes === ''
          ? html`${piece.text}`
          : html`<span class="${piece.classes}">${piece.text}</span>`,
      )}${text.length > maxShownChars && html`<i> … ${text.length - maxShownChars} more characters</i>`}</span
    >
  </div>`

/** The way to the lines before those that the page has. */
function restBefore({ number, first, lines, count }: Group): Html | false {
  const before = lines.length === 0 ? count : first - 1
  return (
    before > 0 &&
    html`<p class="rest">
      ${before.toLocaleString('en')} lines are not on this page:
      <a href="?step=${number}&amp;from=1#s${number}L1">read from line 1</a>${
        before > linesOnPage &&
        html`,
          <a href="?step=${number}&amp;from=${before - linesOnPage + 1}#s${number}L${before}"
            >those before this</a
          >`
      }.
    </p>`
  )
}

/** The way to the lines after a window. */
function restAfter({ number, first, lines, count }: Group): Html | false {
  const next = first + lines.length
  return (
    lines.length > 0 &&
    next <= count &&
    html`<p class="rest">
      <a href="?step=${number}&amp;from=${next}#s${number}L${next}"
        >${(count - next + 1).toLocaleString('en')} more lines from line ${next}</a
      >
    </p>`
  )
}
