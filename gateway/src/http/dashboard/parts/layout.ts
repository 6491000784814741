import type { Principal } from '../../../callers/principal.ts'
import { assetAddress } from './assets.ts'
import { addresses, addressOf } from './addresses.ts'
import { postForm } from './form.ts'
import { attributes, html, type Html } from './html.ts'
import type { PageContext, Section, ShownPage } from './page.ts'

/** The entries of the navigation. A page that comes later adds its own. */
const navigation: { section: Section; label: string; address: string }[] = [
  { section: 'apps', label: 'Apps', address: addresses.home },
  { section: 'deployments', label: 'Deployments', address: addresses.deployments },
  { section: 'queue', label: 'Queue', address: addresses.queue },
  { section: 'previews', label: 'Previews', address: addresses.previews },
  { section: 'rollouts', label: 'Rollouts', address: addresses.rollouts },
  { section: 'routers', label: 'Routers', address: addresses.routers },
  { section: 'drift', label: 'Drift', address: addresses.drift },
  { section: 'callers', label: 'Callers', address: addresses.callers },
  { section: 'audit', label: 'Audit', address: addresses.audit },
  { section: 'builder', label: 'Builder', address: addresses.builder },
]

type Frame = {
  shown: ShownPage
  section: Section | null
  assets: readonly string[]
  /** Null: nobody is logged in. */
  context: (Pick<PageContext, 'caller' | 'formKey'> & Partial<PageContext>) | null
}

/** The whole document around a page. */
export const layout = ({ shown, section, assets, context }: Frame): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${shown.title} · Tarmac</title>
        <link rel="icon" href="${assetAddress('icon.svg')}" />
        ${['dashboard.css', ...assets.filter((name) => name.endsWith('.css'))].map((name) => html`<link rel="stylesheet" href="${assetAddress(name)}" /> `)}
        ${['dashboard.ts', ...assets.filter((name) => name.endsWith('.ts'))].map((name) => html`<script type="module" src="${assetAddress(name)}"></script> `)}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the page</a>
        <header class="top">
          <a class="brand" href="${addresses.home}">Tarmac</a>
          ${
            context &&
            html`<nav aria-label="Pages">
                ${navigation.map((entry) => html`<a href="${entry.address}" ${attributes({ 'aria-current': entry.section === section && 'page' })}>${entry.label}</a>`)}
              </nav>
              ${who(context)}`
          }
        </header>
        <p id="stale" role="status" hidden></p>
        <main
          id="main"
          tabindex="-1"
          ${attributes({ ...liveOf(shown), 'data-page': context?.refused ? (context.here ?? null) : null })}
        >
          ${shown.body}
        </main>
      </body>
    </html> `

const liveOf = ({ live }: ShownPage) => ({
  'data-events': live !== undefined && 'events' in live && live.events,
  'data-seconds': live !== undefined && 'seconds' in live && live.seconds,
})

/** Who is logged in, and how to leave. A caller that a proxy names has no session to end. */
function who({ caller, formKey }: Pick<PageContext, 'caller' | 'formKey'>): Html {
  const context = { formKey }
  return html`<details class="who">
    <summary>${caller.name}</summary>
    <p>
      ${caller.isOpen ? 'This gateway has no tokens: whoever reaches it is its operator.' : `Scopes: ${caller.scopes.join(', ') || 'none'}.`}
    </p>
    ${
      hasSession(caller) &&
      html`${postForm(context, addressOf('logout'), html`<button>Log out</button>`)}
      ${postForm(context, addressOf('logoutEverywhere'), html`<button>Log out everywhere</button>`)}`
    }
  </details>`
}

const hasSession = ({ isOpen, kind }: Principal) => !isOpen && kind !== 'proxy'
