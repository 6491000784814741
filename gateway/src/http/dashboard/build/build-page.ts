import { type Deployment, isFinal } from '#api/deployment.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { stateMark } from '../parts/mark.ts'
import type { Page } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section, table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { findingsPart } from './findings-part.ts'
import { layersPart } from './layers-part.ts'
import { readBuild } from './read-build.ts'
import { stepsPart } from './steps-part.ts'

const othersShown = 10
/** Of a build that runs. Its whole log is read each time. */
const seconds = 10

/** What the build of a deployment did: its steps, what they used, the layers of its image, and what the linter found. */
export const buildPage: Page = {
  path: addresses.build,
  section: 'apps',
  assets: ['pictures.css'],
  async show(context) {
    const { commands, caller, params } = context
    const deployment = await commands.deployment(caller, params['id'] ?? '')
    const { id, app, number, owner, state } = deployment
    const build = readBuild(context, deployment)
    const recent = commands.deployments(caller, app, { limit: othersShown + 1, before: null })
    const [steps, findings, layers, others] = await Promise.all([
      partOf(build, stepsPart),
      partOf(build, findingsPart),
      partOf(commands.imageLayers(caller, id), layersPart),
      partOf(recent, ({ deployments }) => othersPart(deployment, deployments)),
    ])
    return {
      title: `Build of ${app} #${number}`,
      ...(!isFinal(state) && { live: { seconds } }),
      body: html`<p class="crumbs">
          <a href="${addressOf('home')}">Apps</a> /
          <a href="${addressOf('app', { app }, { owner })}">${app}</a> /
          <a href="${addressOf('deployment', { id })}">Deployment #${number}</a>
        </p>
        <div id="title" data-part><h1>Build of #${number} ${stateMark(state)}</h1></div>
        ${section('steps', 'Steps', steps)} ${section('layers', 'Layers', layers)}
        ${section('findings', 'Warnings of the linter', findings)}
        ${section('others', 'Compare with', others)}`,
    }
  },
}

/** The ways to compare it with the newest other builds of the app. */
function othersPart({ id }: Deployment, newest: Deployment[]): Html {
  const others = newest.filter((each) => each.id !== id && each.plan !== null)
  if (others.length === 0) return html`<p class="quiet">The app has no other build yet.</p>`
  return table(
    'Other builds',
    ['Build', 'State', 'When'],
    others.map((other) => [
      html`<a href="${addressOf('compare', {}, { a: other.id, b: id })}">#${other.number}</a>`,
      stateMark(other.state),
      timeOf(other.createdAt),
    ]),
  )
}
