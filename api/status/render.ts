import { inMb } from '../text/in-mb.ts'
import { someOf } from '../text/some-of.ts'
import type { AuditStatus } from '../callers/audit-status.ts'
import type { AwakeStatus } from './awake.ts'
import type { CacheStatus } from './cache.ts'
import { type CostStatus, type CostSum, moneyText } from './cost.ts'
import type { DriftStatus } from '../drift/drift-status.ts'
import type { FlyStatus } from '../machines/fly-status.ts'
import type { ImagesStatus } from './images.ts'
import type { PoolView } from '../previews/pool.ts'
import type { PreviewsStatus } from '../previews/previews-status.ts'
import { sizeText } from './machine.ts'
import { isUnknown, type Unknown } from './part.ts'
import { sealingLines } from '../sealing/sealing.ts'
import type { GatewayStatus } from './status.ts'

/** The status of a gateway for people: one line, or some, for each part that it has. */
export function renderStatus(status: GatewayStatus): string[] {
  const { version, uptimeSeconds } = status
  return [
    `gateway   ${version}, running for ${roughDuration(uptimeSeconds)}`,
    ...part('machine', status.machine, ({ id, region, size }) => [
      `${id}, region ${region}, ${size ? sizeText(size) : 'size not known'}`,
    ]),
    ...part('queue', status.queue, ({ waiting, running, byState }) => {
      const states = Object.entries(byState).map(([state, count]) => `${state} ${count}`)
      const named = states.length > 0 ? ` (${states.join(', ')})` : ''
      return [`${running} running, ${waiting} waiting${named}`]
    }),
    ...part('disk', status.disk, ({ detail, ok }) => [ok ? detail : `full: ${detail}`]),
    ...part('cache', status.cache, (facts) => [cacheText(facts)]),
    ...part('images', status.images, (facts) => [imagesText(facts)]),
    ...part('awake', status.awake, (facts) => [awakeText(facts, status.at)]),
    ...part('mirror', status.mirror, ({ state, detail }) => [`${state}: ${detail}`]),
    ...part('fly', status.fly, (facts) => [flyText(facts)]),
    ...part('versions', status.versions, (versions) => [
      versions
        .map(
          ({ name, version, ok }) =>
            `${name} ${version ?? 'not known'}${ok === false ? ' (too old)' : ''}`,
        )
        .join(', '),
      `pinned by digest: ${versions.filter(({ pinned }) => pinned).length} of ${versions.length}`,
    ]),
    ...part('limits', status.sizes, ({ limits }) =>
      limits.map(
        ({ name, value, unit, from }) =>
          `${name}: ${unit === 'bytes' ? inMb(value) : `${value} ${unit}`} (${from === 'setting' ? 'set' : `by ${from}`})`,
      ),
    ),
    ...part('previews', status.previews, previewLines),
    ...part('cost', status.cost, costLines),
    ...part('audit', status.audit, auditLines),
    ...part('secrets', status.sealing, sealingLines),
    ...part('drift', status.drift, driftLines),
  ]
}

const column = 10

function part<Facts extends object>(
  name: string,
  facts: Facts | Unknown | undefined,
  render: (facts: Facts) => string[],
): string[] {
  if (facts === undefined) return []
  const lines = isUnknown(facts) ? [`not known: ${facts.unknown}`] : render(facts)
  return lines.map((line, at) => (at === 0 ? name : '').padEnd(column) + line)
}

/** `3 h 12 min`, `12 min`, `40 s`. */
export function roughDuration(seconds: number): string {
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24]
  const minutes = Math.floor(seconds / 60) % 60
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`
}

function awakeText({ holds, idleSince, idleStopSeconds }: AwakeStatus, at: string): string {
  const named = holds.map(({ name, count }) =>
    count === 1 ? `1 ${name.slice(0, -1)}` : `${count} ${name}`,
  )
  const idle = idleSince === null ? null : (Date.parse(at) - Date.parse(idleSince)) / 1000
  const now = [
    ...(idle === null ? [] : [`idle for ${roughDuration(idle)}`]),
    ...(named.length > 0 ? [`${idle === null ? 'by' : 'waits for'} ${named.join(', ')}`] : []),
  ]
  const stops =
    idleStopSeconds === null
      ? 'does not stop by itself'
      : `stops after ${roughDuration(idleStopSeconds)} without work`
  return [...now, stops].join('; ')
}

function cacheText({ totalBytes, maxBytes, apps }: CacheStatus): string {
  const largest = apps
    .toSorted((a, b) => b.bytes - a.bytes)
    .map(({ app, bytes }) => `${app} ${inMb(bytes)}`)
  const most = maxBytes === null ? '' : ` of at most ${inMb(maxBytes)}`
  return `${inMb(totalBytes)}${most}${largest.length > 0 ? `; ${someOf(largest, 5)}` : ''}`
}

function imagesText({ checkedAt, checked, missing, problem }: ImagesStatus): string {
  const when = checkedAt === null ? 'not checked yet' : `${checked} checked at ${checkedAt}`
  const gone = missing.map(({ app, reference }) => `${reference} of ${app}`)
  return [
    when,
    ...(gone.length > 0 ? [`missing in the registry: ${someOf(gone, 3)}`] : []),
    ...(problem === null ? [] : [problem]),
  ].join('; ')
}

/** `120 calls; 3 waited for their turn, 4.0 s together; 1 wait now` */
export const flyText = ({ calls, delayed, delayedMs, waiting, refused }: FlyStatus): string =>
  [
    `${calls} calls`,
    ...(delayed > 0
      ? [`${delayed} waited for their turn, ${(delayedMs / 1000).toFixed(1)} s together`]
      : []),
    ...(waiting > 0 ? [`${waiting} wait now`] : []),
    ...(refused > 0 ? [`${refused} refused by Fly’s rate limit`] : []),
  ].join('; ')

function previewLines({ states, stuck, sweep, pools }: PreviewsStatus): string[] {
  const counts = Object.entries(states).map(([state, count]) => `${count} ${state}`)
  const { at, orphans, failures, problem } = sweep
  return [
    `${counts.join(', ') || 'none'}; compared with Fly ${at === null ? 'not yet' : `at ${at}`}`,
    ...stuck.map(({ id, state, since, why }) => `stuck: ${id}, ${state} since ${since}: ${why}`),
    ...(orphans.length > 0 ? [`deleted on Fly, known to nobody: ${someOf(orphans, 5)}`] : []),
    ...(failures.length > 0 ? [`failed, tried again: ${someOf(failures, 3)}`] : []),
    ...pools.map(poolText),
    ...(problem === null ? [] : [problem]),
  ]
}

const poolText = ({ app, template, size, ready, problem }: PoolView): string =>
  `pool ${template} of ${app}: ${ready} of ${size} ready${problem ? `; ${problem.detail}` : ''}`

function auditLines({ head, checkedAt, verdict }: AuditStatus): string[] {
  const newest = head ? `newest entry ${head.number}` : 'no entry'
  if (!verdict || checkedAt === null) return [`${newest}; not checked yet`]
  const when = `checked at ${checkedAt}`
  if (verdict.state === 'whole') return [`${newest}; whole, ${when}`]
  return [
    `${newest}; ${when}`,
    `warning: ${verdict.detail} To look again: tarmac-gateway verify-audit`,
  ]
}

function driftLines({ checkedAt, looked, drifted, apps, problem }: DriftStatus): string[] {
  const when = checkedAt === null ? 'not looked at all apps yet' : `looked at ${checkedAt}`
  const named = apps.map(({ app, findings }) => `${app} (${findings})`)
  const found = drifted > 0 ? `${drifted} of ${looked} apps: ${someOf(named, 5)}` : 'none'
  return [
    `${checkedAt === null && drifted === 0 ? '' : `${found}; `}${when}`,
    ...(drifted > 0 ? ['to see it: tarmac drift'] : []),
    ...(problem === null ? [] : [`warning: ${problem}`]),
  ]
}

function costLines({ currency, warning, today, month, apps, prices }: CostStatus): string[] {
  const text = (sum: CostSum) => {
    const money = sum.amount !== null && currency ? `${moneyText(sum.amount, currency)}, ` : ''
    return `${money}${roughDuration(sum.machineSeconds)}`
  }
  return [
    `today: work ${text(today.work)}; idle ${text(today.idle)}`,
    `this month: work ${text(month.work)}; idle ${text(month.idle)}`,
    ...apps.slice(0, 5).map(({ app, month }) => `  ${app}: ${text(month)} this month`),
    ...(prices ? [`prices: ${prices.source}, of ${prices.date}`] : []),
    ...(warning === null ? [] : [`warning: ${warning}`]),
  ]
}
