import { addressOf } from '../parts/addresses.ts'
import { field } from '../parts/form.ts'
import { attributes, html, type Html } from '../parts/html.ts'

export const namesOfFilter = ['from', 'to', 'caller', 'command', 'app', 'result'] as const

/** Needs no script: the filter is in the address. */
export const filterForm = (query: URLSearchParams): Html =>
  html`<form class="filter" method="get" action="${addressOf('audit')}" role="search">
    ${field('From', html`<input name="from" type="date" value="${dayOf(query.get('from'))}" />`)}
    ${field('To', html`<input name="to" type="date" value="${dayOf(query.get('to'))}" />`)}
    ${field('Caller', html`<input name="caller" value="${query.get('caller')}" placeholder="token:*" />`)}
    ${field('Command', html`<input name="command" value="${query.get('command')}" placeholder="submit" />`)}
    ${field('App', html`<input name="app" value="${query.get('app')}" />`)}
    ${field(
      'Result',
      html`<select name="result">
        ${options(query.get('result') ?? '').map(([value, label]) => html`<option value="${value}" ${attributes({ selected: value === (query.get('result') ?? '') })}>${label}</option>`)}
      </select>`,
    )}
    <button>Filter</button>
  </form>`

/** The code of a problem, which the address may name, is an option too. */
function options(given: string): (readonly [string, string])[] {
  const usual = [
    ['', 'any'],
    ['ok', 'ok'],
    ['failed', 'failed'],
    ['unknown', 'not known'],
  ] as const
  return usual.some(([value]) => value === given) ? [...usual] : [...usual, [given, given]]
}

/** A field for days shows no time. */
const dayOf = (text: string | null): string => /^\d{4}-\d\d-\d\d/.exec(text ?? '')?.[0] ?? ''
