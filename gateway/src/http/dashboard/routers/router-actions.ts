import type { Release } from '#api/release.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { NewRouter, routerOf, type RouterView } from '#api/router/router.ts'
import { readRequest } from '../../body/read-request.ts'
import { confirmField, fieldProblem, selectField, textField } from '../forms/fields.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'

const releasesShown = 20

/** The forms that deploy a router again, and delete it. */
export async function routerActionsPart(context: PageContext, of: RouterView): Promise<Html> {
  const { commands, caller } = context
  const { app, router, domain } = of
  const target = { app, router }
  const mayNot = await commands.whyNot.router.deploy(caller, target, { domain, release: null })
  const stays = await commands.whyNot.router.remove(caller, target)
  return html`${confirmForm(
    context,
    {
      id: 'deploy-router',
      label: 'Deploy it again…',
      action: addressOf('deployRouter', { app }),
    },
    (typed) =>
      html`<p>
          A new version of the router’s program, or a new domain, goes to the machines of ${router}
          as a deployment. If it runs so already, nothing happens.
        </p>
        ${textField(typed, { name: 'domain', label: 'Domain', value: domain, maxlength: 200, hint: 'As users.example.com: the router finds an owner also in a host below it. Empty: it does not.' })}
        ${button('Deploy it', mayNot?.message ?? null)}`,
  )}
  ${await partOf(
    commands.releases(caller, { app: router, owner: null }, { limit: releasesShown, before: null }),
    ({ releases }) => earlierForm(context, of, releases, mayNot?.message ?? null),
  )}
  ${confirmForm(
    context,
    { id: 'remove-router', label: 'Delete it…', action: addressOf('removeRouter', { app }) },
    (typed) =>
      html`<p>
          The app ${router} is deleted with its addresses and certificates. No request finds an
          owner of ${app} by it any more. The owners and their machines stay.
        </p>
        ${confirmField(typed, router)} ${button('Delete it', stays?.message ?? null)}`,
  )}`
}

/** Nothing, if it has no earlier release. */
function earlierForm(
  context: PageContext,
  { app, router, release: now }: RouterView,
  releases: readonly Release[],
  mayNot: string | null,
): Html {
  const earlier = releases.filter(({ number }) => number !== now)
  if (earlier.length === 0) return html``
  return confirmForm(
    context,
    {
      id: 'earlier-router',
      label: 'Go back to a release…',
      action: addressOf('deployRouter', { app }),
    },
    (typed) =>
      html`<p>
          The program and the domain of an earlier release go to the machines of ${router} as a
          deployment. It routes to the machines of now.
        </p>
        ${selectField(typed, {
          name: 'release',
          label: 'Release',
          options: earlier.map(
            ({ number, createdAt }) =>
              [`${number}`, `${number}, of ${minuteOf(createdAt)} UTC`] as const,
          ),
        })}
        ${button('Deploy this release', mayNot)}`,
  )
}

export const deployRouter: Action = {
  path: addresses.deployRouter,
  async act({ commands, caller, params }, form) {
    const app = params['app'] ?? ''
    const release = form.get('release')
    const asked = readRequest(NewRouter, {
      domain: form.get('domain')?.trim() || null,
      release: release === null ? null : Number(release),
    })
    const target = { app, router: routerOf(app) }
    const { deployment } = await commands.router.deploy(caller, target, asked)
    return deployment === null
      ? addressOf('router', { app })
      : addressOf('deployment', { id: deployment })
  },
}

export const removeRouter: Action = {
  path: addresses.removeRouter,
  async act({ commands, caller, params }, form) {
    const app = params['app'] ?? ''
    const router = routerOf(app)
    if (form.get('confirm')?.trim() !== router)
      throw fieldProblem('confirm', `To delete the router, type ${router}.`)
    await commands.router.remove(caller, { app, router })
    return addressOf('routers')
  },
}
