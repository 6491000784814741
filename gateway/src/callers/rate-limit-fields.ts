import { type QuotaName, quotas } from '#api/callers/quotas.ts'
import { resetOf, windowOf } from '../deployments/teams/quota-reached.ts'

/** The quotas that HTTP has a unit for. The unit of the first is the default. */
const units = {
  'requests-per-minute': null,
  uploads: 'concurrent-requests',
  'upload-mib-per-day': 'content-bytes',
} as const satisfies Partial<Record<QuotaName, string | null>>
const named = ['requests-per-minute', 'uploads', 'upload-mib-per-day'] as const

/**
 * What a caller may still send, for programs: the fields of draft-ietf-httpapi-ratelimit-headers-10.
 * Each is a list of policies by name. `q`: the quota, `qu`: its unit, `w`: its window in seconds; `r`:
 * what is left, `t`: seconds until it is full again. Empty: no limit.
 */
export function rateLimitFields(
  useOf: (quota: QuotaName) => { limit: number; used: number } | null,
  nowMs: number,
): Record<string, string> {
  const policies: string[] = []
  const left: string[] = []
  for (const quota of named) {
    const use = useOf(quota)
    if (!use) continue
    const [resetsMs, window, unit] = [resetOf(quota, nowMs), windowOf(quota), units[quota]]
    const { scale } = quotas[quota]
    policies.push(item(quota, { q: use.limit * scale, qu: unit && `"${unit}"`, w: window }))
    const t = resetsMs === null ? null : Math.ceil((resetsMs - nowMs) / 1000)
    left.push(item(quota, { r: Math.max(0, Math.floor((use.limit - use.used) * scale)), t }))
  }
  if (policies.length === 0) return {}
  return { 'RateLimit-Policy': policies.join(', '), RateLimit: left.join(', ') }
}

const item = (name: string, parameters: Record<string, string | number | null>) =>
  `"${name}"${Object.entries(parameters)
    .map(([key, value]) => (value === null ? '' : `;${key}=${value}`))
    .join('')}`
