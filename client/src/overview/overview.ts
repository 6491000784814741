import { z } from 'zod'
import { Deployment } from '#api/deployment.ts'
import { AppPage, type AppSummary } from '#api/overview/overview.ts'
import { routes } from '#api/routes.ts'
import { table } from '#api/text/table.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import { appName } from '../option.ts'
import { moreLines, readReleasesQuery, releases } from './releases.ts'

/** `query`: filters, `limit` and `cursor`, as the gateway reads them. */
export type OverviewRequest =
  | { what: 'apps' | 'deployments'; query: URLSearchParams }
  | { what: 'releases'; app: string; query: URLSearchParams }

const filters = [
  'state',
  'branch',
  'environment',
  'owner',
  'team',
  'actor',
  'limit',
  'cursor',
] as const

/**
 * Reads `tarmac apps [APP]` and `tarmac deployments [APP]`, where APP may end with `*`, and `tarmac
 * releases APP`. Null: they are used in another way.
 */
export function readOverviewArgs(
  name: string,
  [app, ...rest]: string[],
  values: Partial<Record<(typeof filters)[number], string>>,
): OverviewRequest | null {
  if (name === 'releases' && app !== undefined && rest.length === 0)
    return { what: name, app: appName(app), query: readReleasesQuery(values) }
  if ((name !== 'apps' && name !== 'deployments') || rest.length > 0) return null
  const query = new URLSearchParams(app === undefined ? {} : { app })
  for (const filter of filters) if (values[filter] !== undefined) query.set(filter, values[filter])
  return { what: name, query }
}

/** What this client reads of a deployment in a list. */
const Listed = z.object({
  deployments: z.array(
    Deployment.pick({
      id: true,
      app: true,
      number: true,
      owner: true,
      state: true,
      createdAt: true,
      triggeredBy: true,
    }).extend({
      options: z.looseObject({ branch: z.string().nullish(), message: z.string().nullish() }),
    }),
  ),
  next: z.string().nullable(),
})
type Listed = z.infer<typeof Listed>

/** Lists apps by name, deployments of all apps, or the releases of one, newest first. */
export async function overview(
  request: OverviewRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const { what, query } = request
  if (what === 'releases') return releases(request, gateway, printer, signal)
  const path = what === 'apps' ? routes.apps : routes.allDeployments
  const answer = await gateway.ask('GET', `${path}?${query.toString()}`, signal)
  if (what === 'apps') {
    const { apps, next } = readAnswer(AppPage, answer)
    return printer.result({ apps, next }, [...appLines(apps), ...moreLines(next)])
  }
  const { deployments, next } = readAnswer(Listed, answer)
  return printer.result({ deployments, next }, [
    ...deploymentLines(deployments),
    ...moreLines(next),
  ])
}

export function appLines(apps: AppSummary[]): string[] {
  if (apps.length === 0) return ['no app matches']
  const rows = apps.map(({ app, deployment, release, owners }) => [
    app,
    deployment.state,
    minuteOf(deployment.createdAt),
    release ? `${release.number} ${release.state}` : '',
    owners > 0 ? `${owners}` : '',
    deployment.url ?? '',
  ])
  return table([['APP', 'NEWEST', 'AT (UTC)', 'RELEASE', 'OWNERS', 'URL'], ...rows], [4])
}

export function deploymentLines(deployments: Listed['deployments']): string[] {
  if (deployments.length === 0) return ['no deployment matches']
  const rows = deployments.map(
    ({ id, app, number, owner, state, createdAt, triggeredBy, options }) => [
      id,
      owner === null ? app : `${app}/${owner}`,
      `${number}`,
      state,
      minuteOf(createdAt),
      triggeredBy?.name ?? '',
      options.branch ?? '',
      firstLine(options.message ?? ''),
    ],
  )
  return table(
    [['DEPLOYMENT', 'APP', 'NUMBER', 'STATE', 'AT (UTC)', 'CALLER', 'BRANCH', 'MESSAGE'], ...rows],
    [2],
  )
}

const firstLine = (text: string) => text.split('\n', 1)[0]!.slice(0, 60)
