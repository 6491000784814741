import { z } from 'zod'

type Quota = {
  /** What it counts, after a number: "3 of 10 builds". */
  what: string
  /** The window after which it starts again at 0. Null: what there is at once. */
  per: 'minute' | 'day' | null
  /** How many counted units are 1 of `what`: bytes of a MiB. */
  scale: number
  max: number
  about: string
}
const quota = (
  what: string,
  per: Quota['per'],
  about: string,
  more: Partial<Quota> = {},
): Quota => ({
  what,
  per,
  about,
  scale: 1,
  max: 1_000_000_000,
  ...more,
})

/**
 * What a team may use. The gateway's code, its answers, its settings and docs/settings.md read this
 * table. Days are UTC.
 */
export const quotas = {
  'requests-per-minute': quota(
    'requests',
    'minute',
    'Requests per minute of all members of a team.',
  ),
  uploads: quota('uploads at once', null, 'Uploads at once of all members of a team.'),
  'upload-mib-per-day': quota(
    'MiB of uploads',
    'day',
    'MiB per day in uploads of all members of a team, also in uploads that fail.',
    { scale: 2 ** 20 },
  ),
  builds: quota('builds at once', null, 'Builds at once of all apps of a team. Others wait.'),
  'builds-per-day': quota(
    'builds',
    'day',
    'Deployments per day that build, of all apps of a team.',
  ),
  'build-minutes-per-day': quota(
    'build minutes',
    'day',
    'Minutes per day that builds of a team’s apps may take. At this number no further one is accepted; those that run go on.',
    { scale: 60_000 },
  ),
  queue: quota('waiting deployments', null, 'Deployments of a team’s apps that may wait.'),
  previews: quota('previews', null, 'Previews at once of all apps of a team.'),
  machines: quota(
    'machines',
    null,
    'Machines of all apps of a team, as their newest releases have them and their unfinished deployments ask for them.',
  ),
  'cache-percent': quota(
    '% of the build cache',
    null,
    'Percent of the build cache that all apps of a team may have for themselves. What they used longest ago is removed.',
    { max: 100 },
  ),
} as const satisfies Record<string, Quota>

export type QuotaName = keyof typeof quotas

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table is `as const`: it has exactly these keys
export const quotaNames = Object.keys(quotas) as QuotaName[]

export const isQuotaName = (name: string): name is QuotaName => Object.hasOwn(quotas, name)

/** The values that a team has for itself. Null: no limit. Absent: the gateway's default. */
export type OwnQuotas = Partial<Record<QuotaName, number | null>>

/** One quota of a team. Times are ISO 8601, UTC. */
export const QuotaFact = z.object({
  quota: z.string(),
  what: z.string(),
  /** Null: no limit. */
  limit: z.number().nullable(),
  /** Null: there is no limit, it is not counted, or it is not known now. */
  used: z.number().nullable(),
  /** When it starts again at 0. Null: it counts what there is at once. */
  resetsAt: z.string().nullable(),
  /** `team`: its own value. `default`: the gateway's. */
  from: z.enum(['team', 'default']),
})
export type QuotaFact = z.infer<typeof QuotaFact>
