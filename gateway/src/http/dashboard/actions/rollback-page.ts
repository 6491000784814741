import { DeploymentOptions } from '#api/options.ts'
import { wholeNumber } from '../../query.ts'
import { ownerOf } from '../app/owner-of.ts'
import { differencesTable } from '../app/release-diff-page.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { Action, Page, PageContext } from '../parts/page.ts'
import { timeOf } from '../parts/time.ts'
import { aboutTarget, ask } from './ask.ts'
import { requestKeyField, requestKeyOf } from './request-key.ts'
import { machinesText, newestRelease, type Target, targetText } from './words.ts'

export const rollbackPage: Page = {
  path: addresses.rollback,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller } = context
    const { target, number } = askedOf(context)
    const { createdAt, image } = await commands.release(caller, target, number)
    const newest = (await newestRelease(context, target))?.number ?? number
    return ask(context, {
      title: `Roll ${targetText(target)} back to release ${number}`,
      about: aboutTarget(target),
      text: html`<p>
          Release ${number}, of ${timeOf(createdAt)}, comes back: its image
          <code title="${image.reference}">${image.digest.slice(7, 19)}</code>, its settings and its
          variables. ${lostText(newest, number)} Fly’s secrets, and what volumes hold, stay as they
          are now.
        </p>
        <p>
          This is a new deployment. It goes first: deployments that wait for ${targetText(target)}
          end as superseded.
        </p>
        ${await machinesText(context, target)}`,
      fields: requestKeyField(),
      button: `Roll back to release ${number}`,
      disabledBecause: await rollbackForbidden(context, target, number),
      more: await changesPart(context, { target, newest, number }),
    })
  },
}

export const rollBack: Action = {
  path: addresses.rollback,
  async act(context, form) {
    const { commands, caller } = context
    const { target, number } = askedOf(context)
    const request = { ...requestFor(target, number), idempotencyKey: requestKeyOf(form) }
    const { id } = await commands.rollback(caller, request)
    return addressOf('deployment', { id })
  },
}

/** Why the caller may not roll the target back. Null: it may. */
export async function rollbackForbidden(
  { commands, caller }: PageContext,
  target: Target,
  number: number | null,
): Promise<string | null> {
  return (await commands.whyNot.rollback(caller, requestFor(target, number)))?.message ?? null
}

export const rollbackAddress = ({ app, owner }: Target, release: number): string =>
  addressOf('rollback', { app, release }, { owner })

const requestFor = ({ app, owner }: Target, release: number | null) => ({
  app,
  release,
  options: DeploymentOptions.parse({ owner }),
  idempotencyKey: null,
})

function askedOf({ params, query }: PageContext) {
  const target = { app: params['app'] ?? '', owner: ownerOf(query) }
  return { target, number: wholeNumber('release', params['release'] ?? '') }
}

const lostText = (newest: number, number: number): string =>
  newest === number
    ? 'It is the newest one: the machines get the same again.'
    : `Release ${newest}, the newest one now, is replaced: what only later releases have set is removed.`

type Change = { target: Target; newest: number; number: number }

async function changesPart(
  { commands, caller }: PageContext,
  { target, newest, number }: Change,
): Promise<Html | false> {
  if (newest === number) return false
  const { differences } = await commands.releaseDiff(caller, target, newest, number)
  return html`<h2>What changes</h2>
    ${differences.length > 0 ? differencesTable(differences, newest, number) : html`<p>Both have the same image, settings, variables and secrets.</p>`}`
}
