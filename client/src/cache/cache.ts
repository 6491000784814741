import { fill, routes } from '#api/routes.ts'
import { CacheStatus, RemovedCache } from '#api/status/cache.ts'
import { inMb } from '#api/text/in-mb.ts'
import { table } from '#api/text/table.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'

/** `app`: the app whose cache to remove. Null: list the cache by app. */
export type CacheRequest = { app: string | null }

/** Reads `tarmac cache` and `tarmac cache rm APP`. Null: they are used in another way. */
export function readCacheArgs(
  [verb, app, ...rest]: string[],
  appName: (text: string) => string,
): CacheRequest | null {
  if (verb === undefined) return { app: null }
  return verb === 'rm' && app !== undefined && rest.length === 0 ? { app: appName(app) } : null
}

/** Lists the build cache by app, or removes the cache of one. */
export async function cache(
  { app }: CacheRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  if (app === null) {
    const status = readAnswer(CacheStatus, await gateway.ask('GET', routes.cache, signal))
    return printer.result(status, usageText(status).split('\n'))
  }
  const path = fill(routes.appCache, { app })
  const removed = readAnswer(RemovedCache, await gateway.ask('DELETE', path, signal))
  return printer.result(removed, [removedText(removed)])
}

export function usageText(status: CacheStatus): string {
  const { apps, totalBytes, sharedBytes, otherBytes, maxBytes, appBytes } = status
  const rows = apps.map((each) => [
    each.app,
    size(each.bytes),
    size(each.mountBytes),
    size(each.sharedBytes),
    minuteOf(each.lastUsedAt),
  ])
  const lines = [
    ...table([['APP', 'OWN', 'OF IT MOUNTS', 'SHARED', 'LAST USED (UTC)'], ...rows]),
    '',
    `own       ${size(apps.reduce((sum, { bytes }) => sum + bytes, 0))}, what only one app uses; one app may have ${sizeOr(appBytes)}`,
    `shared    ${size(sharedBytes)}, what several apps use, counted once`,
    `other     ${size(otherBytes)}, what no app is known to use`,
    `total     ${size(totalBytes)} of at most ${sizeOr(maxBytes)}`,
  ]
  return (apps.length > 0 ? lines : lines.slice(2)).join('\n')
}

export function removedText({ app, removedBytes, keptBytes, removedPlans }: RemovedCache): string {
  const plans = removedPlans === 1 ? '1 plan' : `${removedPlans} plans`
  const kept =
    keptBytes > 0 ? ` A build that runs keeps ${size(keptBytes)}; nothing later uses them.` : ''
  return `removed ${size(removedBytes)} and ${plans} of ${app}; its next build runs every step.${kept}`
}

const size = (bytes: number) =>
  bytes < 1e9 ? inMb(bytes, bytes < 10e6 ? 1 : 0) : `${(bytes / 1e9).toFixed(1)} GB`
const sizeOr = (bytes: number | null) => (bytes === null ? 'an unknown size' : size(bytes))
