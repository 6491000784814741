import type { describeSettings } from '#api/options/app-settings.ts'
import { html, type Html } from '../parts/html.ts'
import { table } from '../parts/tables.ts'

const origins: Record<string, string> = {
  app: 'the app',
  gateway: 'the gateway',
  default: 'the default',
}

/** Every setting of the app with its value, and who set it. */
export const settingsPart = (settings: ReturnType<typeof describeSettings>): Html =>
  html`<details id="all-settings">
    <summary>${own(settings)}</summary>
    ${table(
      'Settings',
      ['Setting', 'Value', 'From'],
      Object.entries(settings).map(([name, { value, from }]) => [
        html`<code>${name}</code>`,
        valueText(value),
        origins[from] ?? from,
      ]),
    )}
  </details>`

function own(settings: ReturnType<typeof describeSettings>): string {
  const names = Object.keys(settings).filter((name) => settings[name]!.from === 'app')
  return names.length === 0 ? 'All as the gateway has them' : `Its own: ${names.join(', ')}`
}

function valueText(value: unknown): Html | string {
  if (value === null) return html`<span class="quiet">none</span>`
  return typeof value === 'string' ? value : JSON.stringify(value)
}
