import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, stateMark } from '../parts/mark.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section, table } from '../parts/tables.ts'
import { durationText, timeOf } from '../parts/time.ts'
import { bars } from '../pictures/bar.ts'
import { type Aligned, alignSteps } from './align-steps.ts'
import { type ComparedFact, comparedFacts } from './compared-facts.ts'
import { layersCompared } from './layers-part.ts'
import { readBuild } from './read-build.ts'
import { stepLook, stepMark, stepName, stepTime } from './step-words.ts'
import { whatChanged } from './what-changed.ts'

/** Two builds side by side, the older one first: what changed, and what that cost. */
export const comparePage: Page = {
  path: addresses.compare,
  section: 'apps',
  assets: ['pictures.css'],
  async show(context) {
    const [a, b] = await bothOf(context)
    const facts = comparedFacts(a, b)
    const steps = Promise.all([readBuild(context, a), readBuild(context, b)]).then(
      ([before, after]) => alignSteps(before.steps, after.steps),
    )
    const layers = Promise.all(
      [a, b].map(({ id }) => context.commands.imageLayers(context.caller, id)),
    )
    const [changes, stepsPart, layersPart] = await Promise.all([
      partOf(
        // Without the logs, the records still say what the builds were made of.
        steps.catch(() => null),
        (rows) => listOf(whatChanged(facts, rows)),
      ),
      partOf(steps, (rows) => stepsTable(rows, a, b)),
      partOf(layers, ([before, after]) => layersCompared(before!, after!)),
    ])
    return {
      title: `${nameOf(a, b)} and ${nameOf(b, a)}`,
      body: html`<p class="crumbs">
          <a href="${addressOf('home')}">Apps</a> /
          <a href="${addressOf('app', { app: b.app }, { owner: b.owner })}">${b.app}</a>
        </p>
        <h1>From ${nameOf(a, b)} to ${nameOf(b, a)}</h1>
        ${table('Builds', ['Build', 'State', 'When'], [a, b].map(buildRow))}
        ${section('changes', 'What changed', changes)} ${section('steps', 'Steps', stepsPart)}
        ${section('layers', 'Layers', layersPart)}
        ${section('facts', 'Facts', factsTable(facts, a, b))}`,
    }
  },
}

/** The two builds, the older one first. Throws if the caller may not see one of them. */
async function bothOf({ commands, caller, query }: PageContext): Promise<[Deployment, Deployment]> {
  const [a, b] = ['a', 'b'].map((name) => query.get(name) ?? '')
  if (!a || !b)
    throw new Problem(
      'option-invalid',
      'Name two deployments by their ids, as in /ui/compare?a=…&b=…. The page of a build has links to compare it.',
    )
  const [first, second] = await Promise.all([
    commands.deployment(caller, a),
    commands.deployment(caller, b),
  ])
  return first.createdAt <= second.createdAt ? [first, second] : [second, first]
}

const nameOf = ({ app, number }: Deployment, other: Deployment): string =>
  app === other.app ? `#${number}` : `${app} #${number}`

const buildRow = ({ id, app, number, state, createdAt }: Deployment) => [
  html`<a href="${addressOf('build', { id })}">${app} #${number}</a>`,
  stateMark(state),
  timeOf(createdAt),
]

const listOf = (sentences: string[]): Html =>
  html`<ol>
    ${sentences.map((sentence) => html`<li class="lines">${sentence}</li>`)}
  </ol>`

function stepsTable(rows: Aligned[], a: Deployment, b: Deployment): Html {
  if (rows.length === 0)
    return html`<p class="quiet">Neither of them ran a build: their images existed already.</p>`
  const longest = Math.max(...rows.flatMap((row) => [row.a?.ms ?? 0, row.b?.ms ?? 0]))
  return html`<p class="quiet">
      Upper bars are of ${nameOf(a, b)}, lower ones of ${nameOf(b, a)}. The longest is
      ${durationText(longest)}.
    </p>
    ${table(
      'Steps of both builds',
      ['Step', nameOf(a, b), nameOf(b, a), 'Of the longest'],
      rows.map((row) => [
        stepName((row.b ?? row.a)!),
        cellOf(row.a),
        cellOf(row.b),
        bars(
          [
            { value: row.a?.ms ?? 0, look: 'earlier' },
            { value: row.b?.ms ?? 0, look: row.b ? stepLook(row.b) : 'earlier' },
          ],
          longest,
        ),
      ]),
    )}`
}

const cellOf = (step: Aligned['a']): Html =>
  step ? html`${stepMark(step)} ${stepTime(step)}` : html`<span class="quiet">no such step</span>`

const factsTable = (facts: ComparedFact[], a: Deployment, b: Deployment): Html =>
  table(
    'Facts of both builds',
    ['Fact', nameOf(a, b), nameOf(b, a), 'Differs'],
    facts.map((each) => [
      each.name,
      valueText(each.a),
      valueText(each.b),
      each.differs ? mark('warning', 'differs') : '',
    ]),
  )

const valueText = (value: string | null): Html =>
  value === null ? html`<span class="quiet">none</span>` : html`<span class="lines">${value}</span>`
