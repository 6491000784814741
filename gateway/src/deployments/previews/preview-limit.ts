import { Problem } from '#api/problem.ts'
import type { Preview } from '#api/previews/preview.ts'
import type { PreviewLimits } from './preview-store.ts'

/** The refusal of one preview too many of an owner. It names those that exist. */
export function ownerLimit(
  { app, owner }: Pick<Preview, 'app' | 'owner'>,
  { perOwner }: PreviewLimits,
  previews: readonly Preview[],
): Problem {
  const named = previews.map(({ id, state, expiresAt }) => `${id} (${state}, until ${expiresAt})`)
  const detail = `${owner} has ${previews.length} of at most ${perOwner} previews of ${app}: ${named.join(', ')}. Destroy one (tarmac preview destroy ID), wait for its end, or replace the oldest: --evict oldest (evict=oldest in a request).`
  const facts = previews.map(({ id, state, url, expiresAt }) => ({ id, state, url, expiresAt }))
  return new Problem('preview-limit', detail, {
    facts: { limit: 'owner', used: previews.length, max: perOwner, previews: facts },
  })
}

/** The refusal of one preview too many of this gateway. */
export const wholeLimit = (max: number): Problem =>
  new Problem(
    'preview-limit',
    `This gateway has as many previews as it may have: ${max}. Send this again when there are fewer. Its operator can raise TARMAC_MAX_PREVIEWS.`,
    { facts: { limit: 'all', used: max, max } },
  )
