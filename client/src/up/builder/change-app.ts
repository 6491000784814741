import { errorMessage } from '#api/error-code.ts'
import type { App, Volume } from '#fly/answers.ts'
import { isNoCapacity, noCapacity } from './capacity.ts'
import { once } from './once.ts'
import { volumeName, type Step } from './plan.ts'
import type { Run } from './run.ts'
import { defaultVolumeGb } from './sizes.ts'

type Given<Name extends Step['do']> = Extract<Step, { do: Name }>

export async function assignAddress({ fly, found }: Run, { name, network }: App): Promise<void> {
  const { machines: api, signal } = fly
  // The address lands on the default network unless the call names another (fly.md 2.4).
  const named = network && network !== 'default' ? { network } : {}
  const ip = await once(
    () => api.assignIp(name, { type: 'private_v6', ...named }, signal).then(() => null),
    async () => {
      const all = await api.ipAssignments(name, signal)
      return all.find((each) => each.ip.startsWith('fdaa:'))?.ip ?? null
    },
    signal,
  )
  found.addresses.push(ip)
  fly.report(`address ${ip}: assigned (Flycast, inside the organisation only)`)
}

export async function setSecrets(
  { fly, found, goal, makers }: Run,
  { name }: App,
  names: string[],
): Promise<void> {
  const values = makers.secretsOf(name, names)
  await fly.builder.setSecrets(name, values, fly.signal)
  for (const each of names) found.secrets.add(each)
  goal.done.secrets = true
  fly.report(`secrets ${names.join(', ')}: set`)
}

export async function createVolume(
  run: Run,
  { name }: App,
  { choice, from }: Given<'create-volume'>,
): Promise<void> {
  const { fly, found, goal } = run
  const { machines: api, signal } = fly
  const sizeGb = Math.max(goal.volumeGb ?? defaultVolumeGb, from?.size_gb ?? 0)
  const snapshot = from && (await newestSnapshot(run, name, from))
  const body = {
    name: volumeName,
    region: choice.region,
    size_gb: sizeGb,
    // Placement picks a host that has room for the machine too.
    compute: choice.size.guest,
    ...(snapshot && { snapshot_id: snapshot }),
  }

  const before = new Set(found.volumes.map(({ id }) => id))
  try {
    const volume = await once(
      () => api.createVolume(name, body, signal).then(() => null),
      async () => {
        found.volumes = await api.volumes(name, signal)
        return found.volumes.find(({ id }) => !before.has(id)) ?? null
      },
      signal,
    )
    run.freshVolume = from ? null : volume
    fly.report(`volume ${volume.id}: made, ${sizeGb} GB in ${choice.region}`)
  } catch (error) {
    await nextChoice(run, error, name)
  }
}

async function newestSnapshot({ fly }: Run, app: string, { id }: Volume): Promise<string | null> {
  const [newest] = await fly.builder.snapshots(app, id, fly.signal)
  fly.report(
    newest
      ? `volume ${id}: kept; a new one is made from its snapshot of ${newest.created_at ?? 'an unknown time'}`
      : `volume ${id}: kept; it has no snapshot, so the new one is empty`,
  )
  return newest?.id ?? null
}

export async function extendVolume(
  { fly, found }: Run,
  { name }: App,
  { volume, sizeGb }: Given<'extend-volume'>,
): Promise<void> {
  await fly.builder.extendVolume(name, volume.id, sizeGb, fly.signal)
  found.volumes = await fly.machines.volumes(name, fly.signal)
  fly.report(`volume ${volume.id}: grown to ${sizeGb} GB`)
}

/** After a refusal for lack of room: the next size or region. Throws when there is none. */
export async function nextChoice(run: Run, error: unknown, app: string): Promise<void> {
  const { fly, goal, found, choices, freshVolume } = run
  if (!isNoCapacity(error)) throw error
  const [failed, next] = choices
  if (!failed || !next) throw noCapacity(failed?.region ?? null, error)
  fly.report(
    `no room for ${failed.size.name} in ${failed.region} (${errorMessage(error)}); trying ${next.size.name} in ${next.region}`,
  )
  choices.shift()
  goal.choice = next
  if (!freshVolume || freshVolume.region === next.region) return

  await fly.builder.deleteVolume(app, freshVolume.id, fly.signal)
  found.volumes = found.volumes.filter(({ id }) => id !== freshVolume.id)
  run.freshVolume = null
  fly.report(`volume ${freshVolume.id}: removed again; it was empty`)
}
