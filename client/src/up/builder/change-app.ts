import { errorMessage } from '#api/error-code.ts'
import type { App, Volume } from '#fly/answers.ts'
import { isNoCapacity, noCapacity } from './capacity.ts'
import { once } from './once.ts'
import { lookAt } from './look-at.ts'
import { byAge, volumeName, type Step } from './plan.ts'
import type { Run } from './run.ts'
import { defaultVolumeGb } from './sizes.ts'

type Given<Name extends Step['do']> = Extract<Step, { do: Name }>

export async function assignAddress({ fly, found }: Run, { name, network }: App): Promise<void> {
  const { machines: api, signal } = fly
  // The address lands on the default network unless the call names another (fly.md 2.4).
  const named = network && network !== 'default' ? { network } : {}
  const privateIps = async () =>
    (await api.ipAssignments(name, signal))
      .filter(({ ip }) => ip.startsWith('fdaa:'))
      .toSorted((a, b) => byAge({ ...a, id: a.ip }, { ...b, id: b.ip }))
  const made = await once(
    () => api.assignIp(name, { type: 'private_v6', ...named }, signal),
    async () => (await privateIps())[0]?.ip ?? null,
    signal,
  )
  fly.report(`address ${made}: assigned (Flycast, inside the organisation only)`)

  const first = (await privateIps())[0]?.ip ?? made
  found.addresses.push(first)
  if (first === made) return
  await api.releaseIp(name, made, signal)
  fly.report(`address ${made}: released again: another tarmac up has made ${first} meanwhile`)
}

export async function setSecrets(
  { fly, found, goal, makers }: Run,
  { name }: App,
  names: string[],
): Promise<void> {
  // Another run, on another computer, may have set its own a moment ago.
  const now = await fly.machines.secrets(name, fly.signal)
  const meanwhile = now.filter((each) => !found.secrets.has(each.name))
  for (const each of now) found.secrets.add(each.name)
  const mine = names.filter((each) => !meanwhile.some((other) => other.name === each))
  if (mine.length === 0) return fly.report('secrets: another tarmac up has set them meanwhile')

  const values = makers.secretsOf(name, mine)
  await fly.builder.setSecrets(name, values, fly.signal)
  for (const each of mine) found.secrets.add(each)
  goal.done.secrets = true
  fly.report(`secrets ${mine.join(', ')}: set`)
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
    const added = async () => {
      found.volumes = await api.volumes(name, signal)
      return found.volumes
        .filter((each) => each.name === volumeName && !before.has(each.id))
        .toSorted(byAge)
    }
    /** Only a volume whose answer came is certainly of this run. */
    let own: string | null = null
    const id = await once(
      async () => (own = (await api.createVolume(name, body, signal)).id),
      async () => (await added())[0]?.id ?? null,
      signal,
    )
    fly.report(`volume ${id}: made, ${sizeGb} GB in ${choice.region}`)
    const [first] = await added()
    if (first && own !== null && first.id !== own) return await yieldTo(run, name, { own, first })
    run.freshVolume = from || own === null ? null : (first ?? null)
  } catch (error) {
    await nextChoice(run, error, name)
  }
}

/** Another run has made a volume first: the one of this run, which is empty, goes again. */
async function yieldTo(
  run: Run,
  app: string,
  { own, first }: { own: string; first: Volume },
): Promise<void> {
  const { fly } = run
  await fly.builder.deleteVolume(app, own, fly.signal)
  fly.report(`volume ${own}: removed again: another tarmac up has made ${first.id} meanwhile`)
  run.found = await lookAt(fly, run.app)
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
