import { ReleasePage } from '#api/release.ts'
import { routes } from '#api/routes.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import { shortImage } from '../owners/render-owners.ts'
import type { Printer } from '../print.ts'

type ReleasesRequest = { app: string; query: URLSearchParams }

export function readReleasesQuery(
  values: Partial<Record<'owner' | 'limit' | 'cursor', string>>,
): URLSearchParams {
  const query = new URLSearchParams()
  for (const name of ['owner', 'limit', 'cursor'] as const)
    if (values[name] !== undefined) query.set(name, values[name])
  return query
}

/** Lists the releases of an app or of one of its owners, newest first. */
export async function releases(
  { app, query }: ReleasesRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const path = `${routes.releases.replace(':app', app)}?${query.toString()}`
  const page = readAnswer(ReleasePage, await gateway.ask('GET', path, signal))
  const rows = page.releases.map(({ number, state, createdAt, deployment, image }) => [
    `${number}`,
    state,
    minuteOf(createdAt),
    deployment,
    shortImage(image.reference),
  ])
  const head = ['RELEASE', 'STATE', 'AT (UTC)', 'DEPLOYMENT', 'IMAGE']
  const lines = rows.length === 0 ? ['no release'] : table([head, ...rows], [0])
  return printer.result(page, [...lines, ...moreLines(page.next)])
}

export const moreLines = (next: string | null) =>
  next === null ? [] : ['', `more: --cursor ${next}`]
