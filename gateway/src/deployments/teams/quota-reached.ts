import { type QuotaName, quotas } from '#api/callers/quotas.ts'
import { Problem } from '#api/problem.ts'

const windowMs = { minute: 60_000, day: 86_400_000 }

/** For quotas of what there is at once: nobody knows when it ends. */
const laterSeconds = 5

/** The end of the window of a quota: a whole minute or midnight, UTC. Null: it has none. */
export function resetOf(quota: QuotaName, nowMs: number): number | null {
  const { per } = quotas[quota]
  return per === null ? null : (Math.floor(nowMs / windowMs[per]) + 1) * windowMs[per]
}

export const resetText = (quota: QuotaName, nowMs: number): string | null => {
  const atMs = resetOf(quota, nowMs)
  return atMs === null ? null : secondText(atMs)
}

/** The length of the window in seconds. Null: it has none. */
export const windowOf = (quota: QuotaName): number | null => {
  const { per } = quotas[quota]
  return per === null ? null : windowMs[per] / 1000
}

/** The UTC day: `2026-05-01`. */
export const dayOf = (nowMs: number): string => new Date(nowMs).toISOString().slice(0, 10)

/** A number of a quota for people: at most one decimal, never rounded up to the limit. */
export const shown = (value: number): number => Math.floor(value * 10) / 10

type Reached = {
  quota: QuotaName
  /** In the units of `quotas`. `asked`: what this call needs; `some`: nobody knows. */
  used: number
  limit: number
  asked: number | 'some'
  /** Null: there is only one, and no answer names it. */
  team: string | null
  nowMs: number
}

/** The refusal of a call that needs more than a team may use. */
export function quotaReached({ quota, used, limit, asked, team, nowMs }: Reached): Problem {
  const { what, per } = quotas[quota]
  const resetsMs = resetOf(quota, nowMs)
  const seconds = resetsMs === null ? laterSeconds : Math.ceil((resetsMs - nowMs) / 1000)
  const whose =
    team === null ? `The quota ${quota} is reached` : `Team ${team} has reached its quota ${quota}`
  const window = { minute: ' in this minute', day: ' today (UTC)' }
  const count = `${shown(used)} of ${limit} ${what}${per === null ? '' : window[per]}`
  const needs = used < limit && asked !== 'some' ? `, and this needs ${shown(asked)} more` : ''
  const next =
    resetsMs === null
      ? 'Send this again when there are fewer.'
      : `It resets at ${secondText(resetsMs)}, in ${spanText(seconds)}.`

  return new Problem(
    'quota-reached',
    `${whose}: ${count}${needs}. ${next} The operator of the gateway can raise it.`,
    {
      facts: {
        quota,
        used: shown(used),
        limit,
        resetsAt: resetsMs === null ? null : secondText(resetsMs),
        retryAfterSeconds: seconds,
        ...(team !== null && { team }),
      },
    },
  )
}

/** `50 s`, `12 min` or `11 h 34 min`. */
function spanText(seconds: number): string {
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 2) return `${seconds} s`
  const hours = Math.floor(minutes / 60)
  return hours === 0 ? `${minutes} min` : `${hours} h ${minutes % 60} min`
}

const secondText = (atMs: number) => new Date(atMs).toISOString().replace('.000Z', 'Z')
