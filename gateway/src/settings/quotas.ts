import { z } from 'zod'
import { type QuotaName, quotas as table } from '#api/callers/quotas.ts'
import { whole } from './kinds.ts'
import { setting } from './setting.ts'

/** A whole number, or `none`. */
const quota = (name: QuotaName) =>
  z.preprocess(
    (value) => (value === 'none' ? null : value),
    whole({ min: 1, max: table[name].max }).nullable(),
  )

const settingOf = (name: QuotaName, variable: string) =>
  setting(variable, quota(name), 'none').describe(
    `${table[name].about} A team may have a value of its own. See callers.md.`,
  )

/** Quotas of each team that has no value of its own. */
export const quotas = {
  quotas: z.object({
    'requests-per-minute': settingOf('requests-per-minute', 'TARMAC_QUOTA_REQUESTS_PER_MINUTE'),
    uploads: settingOf('uploads', 'TARMAC_QUOTA_UPLOADS'),
    'upload-mib-per-day': settingOf('upload-mib-per-day', 'TARMAC_QUOTA_UPLOAD_MIB_PER_DAY'),
    builds: settingOf('builds', 'TARMAC_QUOTA_BUILDS'),
    'builds-per-day': settingOf('builds-per-day', 'TARMAC_QUOTA_BUILDS_PER_DAY'),
    'build-minutes-per-day': settingOf(
      'build-minutes-per-day',
      'TARMAC_QUOTA_BUILD_MINUTES_PER_DAY',
    ),
    queue: settingOf('queue', 'TARMAC_QUOTA_QUEUE'),
    previews: settingOf('previews', 'TARMAC_QUOTA_PREVIEWS'),
    machines: settingOf('machines', 'TARMAC_QUOTA_MACHINES'),
    'cache-percent': settingOf('cache-percent', 'TARMAC_QUOTA_CACHE_PERCENT'),
  } satisfies Record<QuotaName, z.ZodType>),
}
