import type { DriftReport } from '#api/drift/report.ts'
import type { StoredRelease } from '../../deployments/release-store.ts'
import { differences } from '../../differences.ts'
import { configOf, imageOf, withoutTag, type Machine, type MachineConfig } from '#fly/machine.ts'
import { mergeConfig } from '../config/merge-config.ts'
import { readDesired } from '../config/read-desired.ts'
import { isEmpty } from '../config/restore-config.ts'
import { groupOf, isManaged, ownerOf } from '../managed.ts'

/**
 * What the machines of an app expose, which ones no deployment made, and how the others differ from
 * the newest release of their owner.
 */
export function machineDrift(
  machines: Machine[],
  newest: StoredRelease[],
): Pick<DriftReport, 'services' | 'foreign' | 'drift'> {
  return {
    services: servicesOf(machines),
    foreign: machines
      .filter((machine) => !isDeployed(machine))
      .map((machine) => {
        const { id, name, state, region } = machine
        return { id, name, state, region, image: imageOf(machine) }
      }),
    drift: machines.filter(isDeployed).flatMap((machine) => {
      const owner = ownerOf(machine)
      const release = newest.find((each) => each.owner === owner)
      const found = release ? differencesOf(machine, release) : []
      return release && found.length > 0
        ? [{ machine: machine.id, owner, release: release.number, differences: found }]
        : []
    }),
  }
}

/** Each service once, though several machines have it. */
function servicesOf(machines: Machine[]): DriftReport['services'] {
  const services = machines.flatMap((machine) =>
    (configOf(machine).services ?? []).map((service) => ({ group: groupOf(machine), service })),
  )
  return [...new Map(services.map((each) => [JSON.stringify(each), each])).values()]
}

const isDeployed = (machine: Machine): boolean =>
  isManaged(machine) && configOf(machine).metadata?.['tarmac_deployment'] !== undefined

/** A config whose images can be compared: by digest, without tags. */
const byDigest = ({ containers, ...config }: MachineConfig, image: string): MachineConfig => ({
  ...config,
  image,
  ...(containers && {
    containers: containers.map((each) =>
      Object.assign({}, each, each.image && { image: withoutTag(each.image) }),
    ),
  }),
})

/**
 * What a deploy of the release would change on the machine. Fields that Fly fills in, or omits when
 * empty, are no drift.
 */
function differencesOf(
  machine: Machine,
  { desired, image }: StoredRelease,
): DriftReport['drift'][number]['differences'] {
  const config = configOf(machine)
  const group = readDesired(desired).groups.find(({ name }) => name === groupOf(machine))
  if (!group) return [{ path: 'group', after: groupOf(machine) }]

  const {
    tarmac_deployment: deployment = '',
    tarmac_number: number = '0',
    fly_builder_id: builder = null,
  } = config.metadata ?? {}
  const ownership = { image, deployment, number: Number(number), owner: ownerOf(machine), builder }

  const wanted = mergeConfig(config, group, ownership)
  const found = differences(byDigest(wanted, image.reference), byDigest(config, imageOf(machine)))
  return found.filter(({ path, before, after }) => {
    if (before === undefined) return /^services\.\d+$/.test(path)
    return after !== undefined || !isEmpty(before)
  })
}
