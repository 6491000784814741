import {
  type AppSettings,
  describeSettings,
  type OwnSettings,
  settingKinds,
} from '#api/options/app-settings.ts'
import { aboutTarget, ask } from '../actions/ask.ts'
import { selectField, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, Page, PageContext, Refused } from '../parts/page.ts'

type Name = keyof Omit<AppSettings, 'env' | 'build'>

/** Variables have forms of their own. */
const about: Record<Name, string> = {
  lane: 'What a new deployment does to those before it: latest replaces what waits, fifo waits for all, cancel-running also cancels what runs, reject is refused.',
  builds: 'Deployments of this app that may build at once.',
  owners: 'Where the machines of new owners are. An owner that is there stays where it is.',
  keepSources: 'How many sources are kept for retries.',
  keepSourcesMib: 'How many MiB of sources are kept.',
  keepSourcesDays: 'How many days sources are kept.',
  fetchSeconds: 'Seconds for fetching.',
  planSeconds: 'Seconds for analyzing.',
  buildSeconds: 'Seconds for building.',
  deploySeconds: 'Seconds for changing machines.',
  totalSeconds: 'Seconds for a whole deployment.',
  region: 'Where new machines are made, as ams.',
  platform: 'What images are built for, as linux/amd64.',
  strategy: 'How machines are replaced.',
  dockerfile: 'The path of the Dockerfile in the source.',
  target: 'The stage of the Dockerfile that is built.',
}

/** Changes the settings of an app. */
export const settingsPage: Page = {
  path: addresses.settings,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params, appDefaults } = context
    const app = params['app'] ?? ''
    const own = await commands.settings(caller, app)
    const forbidden = await commands.whyNot.changeSettings(caller, app, {})
    return ask(context, {
      title: `Settings of ${app}`,
      about: aboutTarget({ app, owner: null }),
      text: html`<p>
        They hold from the next deployment on. An empty field is as the gateway has it.
      </p>`,
      fields: (typed) => fieldsFor(own, appDefaults, typed),
      button: 'Change them',
      disabledBecause: forbidden?.message ?? null,
    })
  },
}

export const changeSettings: Action = {
  path: addresses.settings,
  async act({ commands, caller, params }, form) {
    const app = params['app'] ?? ''
    const patch = patchOf(form, await commands.settings(caller, app))
    if (Object.keys(patch).length > 0) await commands.changeSettings(caller, app, patch)
    return `${addressOf('app', { app })}#settings`
  },
}

function fieldsFor(own: OwnSettings, gateway: OwnSettings, typed: Refused | null): Html {
  const otherwise = describeSettings({}, gateway)
  return html`${namesOf().map((name) => {
    const usual = otherwise[name]?.value ?? null
    const hint = `${about[name]} Empty means ${usual === null ? 'none' : typeof usual === 'string' ? usual : JSON.stringify(usual)}.`
    const field = {
      name,
      label: name,
      hint,
      value: own[name] === undefined ? '' : String(own[name]),
    }
    const kind = settingKinds[name]!
    if (typeof kind === 'string') return textField(typed, { ...field, type: kind })
    const options = ['', ...kind].map((each) => [each, each] as const)
    return selectField(typed, { ...field, options })
  })}`
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an object has exactly the keys of its type here
const namesOf = () => Object.keys(about) as Name[]

/** What differs from the settings now: null removes one. */
function patchOf(form: URLSearchParams, own: OwnSettings): Record<string, string | number | null> {
  const patch: Record<string, string | number | null> = {}
  for (const name of namesOf()) {
    const text = form.get(name)?.trim()
    if (text === undefined || text === String(own[name] ?? '')) continue
    const isNumber = settingKinds[name] === 'number' && /^\d{1,15}$/.test(text)
    patch[name] = text === '' ? null : isNumber ? Number(text) : text
  }
  return patch
}

/** The way to this page, from that of the app. */
export const settingsLink = ({ params }: PageContext): Html =>
  html`<p>
    <a href="${addressOf('settings', { app: params['app'] ?? '' })}">Change the settings</a>
  </p>`
