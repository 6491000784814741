import { AppName } from '#api/app.ts'
import { describeSettings, type OwnSettings } from '#api/options/app-settings.ts'
import { Problem } from '#api/problem.ts'
import { cursorOf } from '../lists/cursor.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section } from '../parts/tables.ts'
import { powerNote } from '../actions/machine-power.ts'
import { settingsLink } from '../edit/settings-page.ts'
import { actionsPart } from './actions-part.ts'
import { activityPart } from './activity-part.ts'
import { deploymentsPart } from './deployments-part.ts'
import { driftPart } from './drift-part.ts'
import { machinesPart } from './machines-part.ts'
import { secretsPart, variablesPart } from './names-part.ts'
import { ownerOf } from './owner-of.ts'
import { ownerSection, ownersSection } from './owners-section.ts'
import { newestPart, releasesPart } from './releases-part.ts'
import { settingsPart } from './settings-part.ts'
import { appPictures } from './app-pictures.ts'

const releasesShown = 10
const deploymentsShown = 10
const entriesShown = 20
/** What Fly's machines do, no stream reports. */
const seconds = 15

/** One app, or one owner's part of it: what it runs, what it ran, and all that changed it. */
export const appPage: Page = {
  path: addresses.app,
  section: 'apps',
  assets: ['boards.css', 'pictures.css'],
  async show(context) {
    const app = appOf(context)
    const owner = ownerOf(context.query)
    const settings = await settingsOf(context, app)
    const { deployments, next } = await context.commands.overview.deployments(
      context.caller,
      { app, ...(owner !== null && { owner }) },
      { limit: deploymentsShown, before: cursorOf(context.query) },
    )
    const warnings = await context.appWarnings(app)
    const url =
      deployments.find((each) => each.state === 'live' && each.owner === owner)?.url ?? null
    const [parts, pictures] = await Promise.all([
      partsOf(context, { app, owner, url }, settings.own),
      appPictures(context, { app, owner }),
    ])
    return {
      title: app,
      live: { seconds },
      body: html`<p class="crumbs"><a href="${addressOf('home')}">Apps</a></p>
        <h1>
          ${app}${owner !== null && html` for ${owner} <a class="quiet" href="${addressOf('app', { app })}">all of the app</a>`}
        </h1>
        ${warningsPart(warnings)} ${powerNote(context)}
        ${section('newest', 'What runs', parts.newest)}
        ${section('actions', 'What can be done', parts.actions)} ${parts.owners}
        ${section('machines', 'Machines', parts.machines)}
        ${section('deployments', 'Deployments', deploymentsPart({ app, owner }, deployments, next))}
        ${pictures} ${section('releases', 'Releases', parts.releases)}
        ${section('drift', 'Drift', parts.drift)}
        ${section('variables', 'Variables', parts.variables)}
        ${section('secrets', 'Secrets', parts.secrets)}
        ${section('settings', 'Settings', parts.settings)}
        ${section('activity', 'Activity', parts.activity)}`,
    }
  },
}

/** What the gateway found out about the app: about its images, or its drift. */
const warningsPart = (warnings: string[]): Html =>
  html`<div id="warnings" data-part>
    ${warnings.map((text) => html`<p class="lines">${mark('warning', 'warning')} ${text}</p>`)}
  </div>`

/** Throws for an app that does not exist, or that the caller may not see. */
async function settingsOf({ commands, caller }: PageContext, app: string) {
  const own = commands.settings(caller, app)
  own.catch(() => {}) // the part that shows them says why
  const { deployments } = await commands.deployments(caller, app, { limit: 1, before: null })
  if (deployments.length === 0) await own
  return { own }
}

/** `url`: where it answers, if one of the deployments shown says so. */
type Target = { app: string; owner: string | null; url: string | null }

/** All parts at once. Each may fail alone: a right is missing, or Fly does not answer. */
async function partsOf(context: PageContext, target: Target, settings: Promise<OwnSettings>) {
  const { commands, caller, appDefaults } = context
  const { app, owner, url } = target
  const releases = commands.releases(caller, target, { limit: releasesShown, before: null })
  const audit = commands.audit.list(caller, { app }, { limit: entriesShown, before: null })
  const secrets = Promise.all([
    commands.runtime.secrets(caller, { app, owner }),
    commands.secrets(caller, app),
  ])
  const known = owner === null ? null : commands.owners.show(caller, { app, owner })
  const [newest, older, actions, owners, machines, drift, variables, names, shown, activity] =
    await Promise.all([
      partOf(releases, (page) => newestPart(page, owner, url)),
      partOf(releases, releasesPart),
      partOf(releases, (page) => actionsPart(context, target, page)),
      known ? ownerSection(context, known) : ownersSection(context, app),
      machinesPart(context, app, known && known.then((found) => found.machines)),
      partOf(commands.drift.list(caller), (list) => driftPart(context, app, list)),
      partOf(Promise.all([commands.runtime.env(caller, app), settings]), ([env, own]) =>
        variablesPart(context, env, own),
      ),
      partOf(secrets, ([runtime, build]) => secretsPart(context, runtime, build)),
      partOf(
        settings,
        (own) => html`${settingsPart(describeSettings(own, appDefaults))} ${settingsLink(context)}`,
      ),
      partOf(audit, ({ entries }) => activityPart(entries)),
    ])
  return {
    newest,
    releases: older,
    actions,
    owners,
    machines,
    drift,
    variables,
    secrets: names,
    settings: shown,
    activity,
  }
}

function appOf({ params }: PageContext): string {
  const app = AppName.safeParse(params['app'])
  if (app.success) return app.data
  throw new Problem('app-name-invalid', app.error.issues[0]!.message)
}
