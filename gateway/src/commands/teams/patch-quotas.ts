import { isQuotaName, type OwnQuotas, quotaNames, quotas } from '#api/callers/quotas.ts'
import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'
import { nearestOf } from '#api/text/nearest.ts'

/** Applies a change of quotas by name: a number, `none` for no limit, null for the gateway's default. */
export function patchQuotas(own: OwnQuotas, patch: unknown): OwnQuotas {
  if (!isObject(patch))
    throw new Problem(
      'request-invalid',
      'The body is not a JSON object. Send quotas by name: a number, "none", or null for the default.',
    )
  const next = { ...own }
  for (const [given, value] of Object.entries(patch)) {
    if (!isQuotaName(given)) throw unknownQuota(given)
    if (value === null) delete next[given]
    else if (value === 'none') next[given] = null
    else if (isCount(value, quotas[given].max)) next[given] = value
    else
      throw new Problem(
        'option-invalid',
        `The quota ${given} is invalid: expected a whole number from 1 to ${quotas[given].max}, "none" for no limit, or null for the default.`,
        { facts: { option: given } },
      )
  }
  return next
}

const isCount = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max

const unknownQuota = (given: string) =>
  new Problem(
    'option-unknown',
    `There is no quota ${given.slice(0, 50)}. Did you mean ${nearestOf(given.slice(0, 50), quotaNames)}? The quotas are ${quotaNames.join(', ')}.`,
    { facts: { known: quotaNames } },
  )
