import { asProblem, Problem } from '#api/problem.ts'
import type { DriftReport } from '#api/release.ts'
import { mergeConfig } from '../deploy/config/merge-config.ts'
import { readDesired } from '../deploy/config/read-desired.ts'
import { isEmpty } from '../deploy/config/restore-config.ts'
import { groupOf, isManaged, ownerOf } from '../deploy/managed.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { StoredRelease, ReleaseStore } from '../deployments/release-store.ts'
import { configOf, imageOf, type Machine } from '../fly/machine.ts'
import type { MachinesApi } from '../fly/machines-api.ts'
import { differences } from './diff.ts'

/** Only Flycast addresses are private: any other address can be reached from anywhere. */
const isPublic = (ip: string): boolean => !/^fdaa:/i.test(ip)

/** The public addresses of an app, or the Problem if Fly did not answer. */
export const publicIps = (
  fly: MachinesApi,
  app: string,
  signal: AbortSignal,
): Promise<string[] | Problem> =>
  fly.ipAssignments(app, signal).then((ips) => ips.map(({ ip }) => ip).filter(isPublic), asProblem)

/**
 * Reports or releases the public addresses of an app after a deploy. The deploy has succeeded by
 * then, so a failure here is only a warning.
 */
export async function reportPublicIps(
  fly: MachinesApi,
  app: string,
  found: string[] | Problem,
  policy: 'report' | 'release',
  emit: EventSink,
  signal: AbortSignal,
): Promise<void> {
  const warn = (text: string) => emit({ type: 'warning', text })
  if (found instanceof Problem)
    return warn(`Whether the app has public addresses was not to be found out: ${found.message}`)
  if (found.length === 0) return
  const all = found.join(', ')
  if (policy === 'report') return warn(`The app has public addresses: ${all}.`)
  const given = Promise.all(found.map((ip) => fly.releaseIp(app, ip, signal)))
  await given.then(
    () => warn(`The app had public addresses, which were given back: ${all}.`),
    (error: unknown) =>
      warn(
        `The app has public addresses, ${all}, and could not give them back: ${asProblem(error).message}`,
      ),
  )
}

/** Lists what an app exposes, and how its machines differ from their newest release. */
export async function driftOf(
  app: string,
  { fly, releases }: { fly: MachinesApi; releases: ReleaseStore },
  signal: AbortSignal,
): Promise<DriftReport> {
  const found = await fly.app(app, signal)
  if (!found) throw new Problem('app-not-found', `There is no app ${app} on Fly.`)

  const [ips, machines, newest, made] = await Promise.all([
    fly.ipAssignments(app, signal),
    fly.machines(app, signal),
    releases.newest(app),
    releases.isOwnApp(app, found.id ?? null),
  ])

  const services = machines.flatMap((machine) =>
    (configOf(machine).services ?? []).map((service) =>
      JSON.stringify({ group: groupOf(machine), service }),
    ),
  )

  return {
    app,
    made,
    ips: ips.map(({ ip }) => ({ ip, public: isPublic(ip) })),
    services: [...new Set(services)].map(
      (text) => JSON.parse(text) as DriftReport['services'][number],
    ),
    foreign: machines
      .filter((machine) => !isOurs(machine))
      .map((machine) => {
        const { id, name, state, region } = machine
        return { id, name, state, region, image: imageOf(machine) }
      }),
    drift: machines.filter(isOurs).flatMap((machine) => {
      const owner = ownerOf(machine)
      const release = newest.find((each) => each.owner === owner)
      const found = release ? machineDrift(machine, release) : []
      return release && found.length > 0
        ? [{ machine: machine.id, owner, release: release.number, differences: found }]
        : []
    }),
  }
}

const isOurs = (machine: Machine): boolean =>
  isManaged(machine) && configOf(machine).metadata?.['tarmac_deployment'] !== undefined

/**
 * What a deploy of the release would change on the machine. Fields that Fly fills in, or omits when
 * empty, are no drift.
 */
function machineDrift(
  machine: Machine,
  { desired, image }: StoredRelease,
): DriftReport['drift'][number]['differences'] {
  const config = configOf(machine)
  const group = readDesired(desired).groups.find(({ name }) => name === groupOf(machine))
  if (!group) return [{ path: 'group', after: groupOf(machine) }]
  const {
    tarmac_deployment: deployment = '',
    tarmac_number: number = '0',
    fly_builder_id,
  } = config.metadata ?? {}
  const owner = ownerOf(machine)
  const marks = {
    image,
    deployment,
    number: Number(number),
    owner,
    builder: fly_builder_id ?? null,
  }

  const wanted = mergeConfig(config, group, marks)
  const found = differences(wanted, { ...config, image: imageOf(machine) })
  return found.filter(({ path, before, after }) => {
    if (before === undefined) return /^services\.\d+$/.test(path)
    return after !== undefined || !isEmpty(before)
  })
}
