import type { DestroyedOwner, Owner, OwnerPage, OwnerSummary } from '#api/owners/owner.ts'
import { moneyText } from '#api/status/cost.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { machineLines } from '../machines/machines.ts'

/** `tarmac owners`. */
export function ownerLines(app: string, { owners, currency, next }: OwnerPage): string[] {
  if (owners.length === 0)
    return [`no owner of ${app} matches; to make one: tarmac deploy ${app} --owner NAME`]
  const rows = owners.map((each) => [
    each.owner,
    each.state,
    `${each.machineCount}`,
    each.release ? `${each.release.number}` : '',
    shortImage(each.image),
    each.memoryMib > 0 ? `${each.memoryMib} MiB` : '',
    ...(currency === null ? [] : [priceText(each, currency)]),
    each.since === null ? '' : minuteOf(each.since),
    each.url ?? '',
  ])
  const head = ['OWNER', 'STATE', 'MACHINES', 'RELEASE', 'IMAGE', 'MEMORY']
  const price = currency === null ? [] : ['PER HOUR']
  const more = next === null ? [] : ['', `more: --cursor ${next}`]
  return [...table([[...head, ...price, 'SINCE (UTC)', 'ADDRESS'], ...rows], [2, 3]), ...more]
}

/** `registry.fly.io/shop@sha256:1f8a…` -> `shop@1f8a0c2d9b3e` */
export function shortImage(image: string | null): string {
  const [, repository = '', digest = ''] =
    /^(?:[^/]+\/)?(.*?)@sha256:([\da-f]{12})/.exec(image ?? '') ?? []
  return repository === '' ? (image ?? '') : `${repository}@${digest}`
}

const priceText = ({ perHour }: OwnerSummary, currency: string): string =>
  perHour === null ? 'unknown' : moneyText(perHour, currency)

/** `tarmac owner show`. */
export function ownerFacts(owner: Owner): string[] {
  const { release, lastDeployment: last, changedBy, currency, env, volumes } = owner
  const by = changedBy ? `, by ${changedBy.by}` : ''
  const rows: [string, string | null | false][] = [
    ['owner', `${owner.owner} of ${owner.app}`],
    ['state', owner.since ? `${owner.state} since ${minuteOf(owner.since)} UTC${by}` : owner.state],
    ['address', owner.url],
    [
      'app on Fly',
      owner.flyApp === owner.app ? `${owner.app}, shared` : `${owner.flyApp}, its own`,
    ],
    ['release', release && `${release.number}, of deployment ${release.deployment}`],
    ['image', owner.image],
    ['cost', currency !== null && `${priceText(owner, currency)} in an hour in which it runs`],
    ['variables', env.join(', ') || 'none'],
    ['last', last && `deployment ${last.id} is ${last.state}, at ${minuteOf(last.createdAt)} UTC`],
  ]
  const facts = rows.flatMap(([name, value]) => (value ? [`${name.padEnd(12)}${value}`] : []))
  const problem = last?.problem
  return [
    ...facts,
    ...(problem ? ['', `${problem.title}. ${problem.detail}`] : []),
    '',
    ...machineLines(owner.flyApp, owner.machines),
    '',
    ...volumeLines(volumes),
  ]
}

function volumeLines(volumes: Owner['volumes']): string[] {
  if (volumes.length === 0) return ['no volumes']
  const rows = volumes.map(({ id, name, region, sizeGb, machine }) => [
    id,
    name,
    region,
    sizeGb === null ? '' : `${sizeGb} GB`,
    machine ?? 'none',
  ])
  return table([['VOLUME', 'NAME', 'REGION', 'SIZE', 'MACHINE'], ...rows], [])
}

/** After a stop, a start or a suspend. */
export function stateText({ app, owner, state, url }: Owner): string {
  const rests = state === 'stopped' || state === 'suspended'
  const next = rests ? `; no request reaches it until: tarmac owner start ${app} ${owner}` : ''
  return `${owner} of ${app} is ${state}${next}${state === 'running' && url ? `: ${url}` : ''}`
}

const of = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

/** What will be gone, as the question before it says. */
export function endText({ app, owner, flyApp, machines, volumes }: Owner, keeps: boolean): string {
  const stored = volumes.map(({ sizeGb, name }) => `${name}${sizeGb ? `, ${sizeGb} GB` : ''}`)
  const data = `${of(volumes.length, 'volume')}${stored.length > 0 ? ` (${stored.join('; ')})` : ''}`
  const own = flyApp === app ? '' : `, and the app ${flyApp} with its secrets`
  return keeps
    ? `This destroys ${of(machines.length, 'machine')} of ${owner} in ${app}. It keeps ${data}.`
    : `This destroys ${of(machines.length, 'machine')} of ${owner} in ${app}, and deletes ${data}${own}. The data cannot be restored.`
}

const list = (what: string, ids: string[]) => (ids.length > 0 ? [`${what}: ${ids.join(', ')}`] : [])

export function destroyedLines({
  app,
  owner,
  flyApp,
  machines,
  volumes,
}: DestroyedOwner): string[] {
  return [
    `${owner} of ${app} is destroyed`,
    ...list('machines', machines),
    ...list('deleted volumes', volumes.deleted),
    ...list('kept volumes', volumes.kept),
    ...(flyApp === null ? [] : [`app on Fly: ${flyApp}`]),
    ...(volumes.kept.length > 0
      ? [`Its next machine gets them; Fly bills them until: tarmac owner destroy ${app} ${owner}`]
      : []),
  ]
}
