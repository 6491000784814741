import type { OwnerFilter, OwnerPage, OwnerState, OwnerSummary } from '#api/owners/owner.ts'
import { guestSize } from '#api/status/machine.ts'
import { type PriceTable, rateOf } from '#api/status/prices.ts'
import type { OrgMachine } from '#fly/answers.ts'
import { withoutTag } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { ownerIn } from '../../deployments/owners/owner-marks.ts'
import type { Owned, Rest } from '../../deployments/owners/owner-store.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { OwnerRelease } from './find-owner.ts'
import type { OwnerPageRequest } from './owner-commands.ts'
import { ownerState } from './owner-state.ts'

export type ListDeps = {
  store: Pick<DeploymentStore, 'owners' | 'ownerApps' | 'status' | 'find'>
  fly: Pick<MachinesApi, 'orgMachines'>
  org: string
  prices: PriceTable | null
}

/** An owner with its machines on Fly. */
export type Seen = Owned & {
  flyApp: string
  state: OwnerState
  machines: SeenMachine[]
  release: OwnerRelease | null
  rest: Rest | null
}

export type SeenMachine = Pick<OrgMachine, 'state' | 'region' | 'updated_at' | 'config'>

/** `isSeen`: what counts for the page. Absent: all. */
export async function listOwners(
  app: string,
  { state: wanted }: OwnerFilter,
  page: OwnerPageRequest & { isSeen?: ((target: Owned) => boolean) | undefined },
  deps: ListDeps & { signal: AbortSignal },
): Promise<OwnerPage> {
  const after = page.before ?? ''
  const all = (await ownersOf(app, deps)).filter(
    (each) =>
      each.owner > after &&
      (page.isSeen?.(each) ?? true) &&
      (wanted === undefined || each.state === wanted),
  )
  const shown = all.slice(0, page.limit)
  return {
    owners: await Promise.all(shown.map((each) => summaryOf(each, deps))),
    currency: deps.prices?.currency ?? null,
    next: all.length > shown.length ? (shown.at(-1)?.owner ?? null) : null,
  }
}

/** All owners of an app, by name: those of the records. Asks Fly once. */
async function ownersOf(
  app: string,
  { store, fly, org, signal }: ListDeps & { signal: AbortSignal },
): Promise<Seen[]> {
  const [releases, rests, unfinished, machines] = await Promise.all([
    store.owners.releases(app),
    store.owners.rests(app),
    store.status.unfinishedByTarget(),
    fly.orgMachines(org, null, signal),
  ])
  const places = new Map(store.ownerApps.list(app).map(({ flyApp, owner }) => [flyApp, owner]))
  const byOwner = Map.groupBy(machines.filter(isThere), ({ app_name: on, config }) =>
    on === app ? ownerIn(config?.metadata) : places.get(on),
  )
  const byName = new Map(releases.map((release) => [release.owner, release]))
  const own = unfinished.filter((each) => each.app === app && each.owner !== '')
  const names = new Set([...byName.keys(), ...places.values(), ...own.map(({ owner }) => owner)])

  return [...names].toSorted().map((owner) => {
    const release = byName.get(owner) ?? null
    const found = byOwner.get(owner) ?? []
    const rest = rests.get(owner) ?? null
    const isDeploying = own.some(
      (each) => each.owner === owner && (release === null || touchesMachines(each.state)),
    )
    const state = ownerState({
      machines: found.map((machine) => machine.state),
      rest,
      hasCrashed: hasCrashed(release),
      isDeploying,
    })
    const flyApp = store.ownerApps.flyAppOf({ app, owner })
    return { app, owner, flyApp, state, machines: found, release, rest }
  })
}

const isThere = ({ state }: OrgMachine) => state !== 'destroyed' && state !== 'destroying'
export const hasCrashed = (release: OwnerRelease | null): boolean =>
  release?.crashes.some(({ endedAt }) => endedAt === null) ?? false

export async function summaryOf(
  { app, owner, flyApp, state, machines, release, rest }: Seen,
  { store, prices }: { store: Pick<DeploymentStore, 'find'>; prices: PriceTable | null },
): Promise<OwnerSummary> {
  const deployment = release && (await store.find(release.deployment))
  const changed = machines.map(({ updated_at: at }) => at ?? '').toSorted()
  return {
    app,
    owner,
    state,
    flyApp,
    machineCount: machines.length,
    release: release && {
      number: release.number,
      deployment: release.deployment,
      createdAt: release.createdAt,
    },
    image: machines[0]?.config?.image ? withoutTag(machines[0].config.image) : null,
    ...sizeOf(machines, prices),
    url: state === 'kept' ? null : (deployment?.url ?? null),
    since: rest?.at ?? (changed.at(-1) || (release?.createdAt ?? null)),
  }
}

/** Of all machines together. */
function sizeOf(machines: readonly SeenMachine[], prices: PriceTable | null) {
  const sizes = machines.map(({ config, region }) => ({
    size: guestSize(config?.guest ?? undefined),
    region: region ?? '',
  }))
  const rates = sizes.map(({ size, region }) => prices && size && rateOf(prices, size, region))
  return {
    memoryMib: sizes.reduce((sum, { size }) => sum + (size?.memoryMb ?? 0), 0),
    perHour: rates.some((rate) => !rate)
      ? null
      : rates.reduce((sum, rate) => sum + (rate?.perSecond ?? 0) * 3600, 0),
  }
}
