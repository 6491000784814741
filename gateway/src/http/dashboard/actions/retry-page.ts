import { type Deployment, isFinal } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Action, Page, PageContext } from '../parts/page.ts'
import { sizeText } from '../parts/size.ts'
import { aboutDeployment, ask } from './ask.ts'
import { requestKeyField, requestKeyOf } from './request-key.ts'
import { deploymentName, machinesText, targetText } from './words.ts'

/** From the same source, from the same source without cached steps, or with the same image. */
export type RetryKind = 'source' | 'rebuild' | 'image'

const titles: Record<RetryKind, string> = {
  source: 'Retry',
  rebuild: 'Rebuild',
  image: 'Deploy the image again',
}

export const retryPage: Page = {
  path: addresses.retry,
  section: 'apps',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const kind = kindOf(context)
    const deployment = await commands.deployment(caller, params['id'] ?? '')
    return ask(context, {
      title: `${titles[kind]}: ${deploymentName(deployment)}`,
      about: aboutDeployment(deployment),
      text: html`<p>${whatHappens(deployment, kind)}</p>
        ${deploysTo(deployment, kind) && (await machinesText(context, deployment))}`,
      fields: requestKeyField(),
      button: titles[kind],
      disabledBecause: await retryUseless(context, deployment, kind),
    })
  },
}

export const retryDeployment: Action = {
  path: addresses.retry,
  async act(context, form) {
    const { commands, caller, params } = context
    const how = { ...howOf(kindOf(context)), idempotencyKey: requestKeyOf(form) }
    const { id } = await commands.retry(caller, params['id'] ?? '', how)
    return addressOf('deployment', { id })
  },
}

/** Why such a retry is of no use now, or not allowed. Null: neither. */
export async function retryUseless(
  { commands, caller }: PageContext,
  deployment: Deployment,
  kind: RetryKind,
): Promise<string | null> {
  const { id, state, source, image, requestedImage, preview } = deployment
  const forbidden = await commands.whyNot.retry(caller, id, {
    ...howOf(kind),
    idempotencyKey: null,
  })
  if (forbidden) return forbidden.message
  if (preview) return 'It has started a preview. Make another preview instead.'
  if (!isFinal(state)) return 'It runs still. Wait for its end, or cancel it.'
  if (kind === 'rebuild' && !source) return 'It was made of an image: there is nothing to build.'
  if (kind === 'image' && !image) return 'It has no image.'
  return (source ?? image ?? requestedImage) ? null : 'It has neither a source nor an image.'
}

const howOf = (kind: RetryKind) => ({
  reuseImage: kind === 'image',
  ...(kind === 'rebuild' && { rebuild: true }),
})

const deploysTo = ({ options, source }: Deployment, kind: RetryKind): boolean =>
  options.deploy || kind === 'image' || !source

function whatHappens(deployment: Deployment, kind: RetryKind): string {
  const { source, image, requestedImage } = deployment
  const goes = deploysTo(deployment, kind)
    ? `goes to ${targetText(deployment)} as a new deployment, which takes the place of what runs there if it becomes healthy.`
    : 'is pushed to the registry. No machine is touched.'
  if (kind === 'image' || !source) {
    const reference = image?.reference ?? requestedImage?.reference ?? ''
    return `The same image, ${reference}, ${goes} Nothing is built.`
  }
  const files = `The same source (${source.files} files, ${sizeText(source.sizeBytes)}), with the same options, is built again`
  return kind === 'rebuild'
    ? `${files} without anything cached: every step runs. The image ${goes}`
    : `${files}, with what is cached. The image ${goes}`
}

function kindOf({ query }: PageContext): RetryKind {
  const kind = query.get('with') ?? 'source'
  if (kind === 'source' || kind === 'rebuild' || kind === 'image') return kind
  throw new Problem('option-invalid', 'A retry is with source, rebuild or image.')
}
