import { randomBytes } from 'node:crypto'
import { cp, mkdir } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { z } from 'zod'
import { FlyError } from './fly-error.ts'
import { expectOrg, isOf, pageOf } from './org-pages.ts'
import { expectRegion } from './regions.ts'
import { parse, type Routes } from './routes.ts'
import type { App, FlyState, Machine, Volume } from './state.ts'

const path = '/apps/:app/volumes'

/**
 * Volumes. Each is a folder on the host that outlives its machine. Their size is recorded, not
 * enforced.
 */
export function volumeRoutes(routes: Routes, state: FlyState): void {
  routes.on('get', path, ({ app }) =>
    state.volumesOf(app.name).map((volume) => showVolume(state, volume)),
  )
  routes.on('get', '/orgs/:org/volumes', ({ params, query }) => {
    expectOrg(state, params['org']!)
    const all = [...state.volumes.values()].filter((volume) =>
      isOf(state, volume.app, params['org']!),
    )
    const region = query.get('region')
    const listed = all.filter((volume) => !region || volume.region === region)
    const { page, last, ...more } = pageOf(
      listed.map((volume) => overview(state, volume)),
      query,
    )
    return { volumes: page, ...(last && { last_volume_id: last }), ...more }
  })
  routes.on('post', path, async ({ app, body }) => {
    const { snapshot_id: snapshot, source_volume_id: source, ...request } = parse(NewVolume, body)
    const forked = source ? find(state, app, source) : null
    const region = request.region || forked?.region
    if (!region) throw new FlyError(400, 'invalid_argument: region is required')
    expectRegion(region)
    const id = `vol_${randomBytes(8).toString('hex')}`
    const from = snapshot ? findSnapshot(state, app, snapshot) : (forked?.id ?? null)
    const size_gb = request.size_gb ?? forked?.size_gb ?? 3
    const now = new Date().toISOString()
    const volume: Volume = {
      ...request,
      ...(forked && { encrypted: forked.encrypted ?? true, fstype: forked.fstype ?? 'ext4' }),
      region,
      size_gb,
      id,
      app: app.name,
      created_at: now,
      snapshots: [],
    }
    await (from
      ? cp(state.folder('volumes', from), state.folder('volumes', id), { recursive: true })
      : null)
    await mkdir(state.folder('volumes', id), { recursive: true })
    state.volumes.set(id, volume)
    state.save()
    return showVolume(state, volume)
  })
  routes.on('get', `${path}/:volume`, ({ app, params }) =>
    showVolume(state, find(state, app, params['volume'])),
  )
  routes.on('put', `${path}/:volume`, ({ app, params, body }) => {
    const volume = Object.assign(find(state, app, params['volume']), parse(VolumeSettings, body))
    state.save()
    return showVolume(state, volume)
  })
  routes.on('delete', `${path}/:volume`, ({ app, params }) => {
    const volume = find(state, app, params['volume'])
    const holder = holderOf(state, volume.id)
    if (holder)
      throw new FlyError(412, `failed_precondition: volume is attached to machine ${holder.id}`)
    const shown = showVolume(state, volume)
    removeVolume(state, volume)
    state.save()
    return { ...shown, state: 'pending_destroy' }
  })
  routes.on('put', `${path}/:volume/extend`, ({ app, params, body }) => {
    const volume = find(state, app, params['volume'])
    const { size_gb } = parse(z.object({ size_gb: z.int().max(500) }), body)
    if (size_gb < volume.size_gb)
      throw new FlyError(400, 'invalid_argument: a volume cannot shrink')
    volume.size_gb = size_gb
    state.save()
    return { needs_restart: false, volume: showVolume(state, volume) }
  })
  routes.on(
    'get',
    `${path}/:volume/snapshots`,
    ({ app, params }) => find(state, app, params['volume']).snapshots,
  )
  routes.on('post', `${path}/:volume/snapshots`, async ({ app, params }) => {
    const volume = find(state, app, params['volume'])
    const id = `vs_${randomBytes(8).toString('hex')}`
    await cp(state.folder('volumes', volume.id), state.folder('volumes', id), { recursive: true })
    const facts = {
      size: volume.size_gb * 2 ** 30,
      volume_size: volume.size_gb * 2 ** 30,
      digest: id,
    }
    const times = {
      created_at: new Date().toISOString(),
      retention_days: volume.snapshot_retention ?? 5,
    }
    volume.snapshots.unshift({ id, status: 'created', ...facts, ...times })
    state.save()
    return { id }
  })
}

/** Refuses a config whose volumes belong to another app, another region or another machine. */
export function claimVolumes(
  state: FlyState,
  app: App,
  config: Machine['config'],
  region: string,
  machine?: Machine,
) {
  const mounts = config.mounts ?? []
  if (mounts.length > 1)
    throw new FlyError(400, 'invalid_argument: a machine has one volume at most')
  for (const { volume: id } of mounts) {
    const volume = find(state, app, id)
    const holder = holderOf(state, volume.id)
    if (holder && holder !== machine)
      throw new FlyError(412, `failed_precondition: volume already claimed by machine ${holder.id}`)
    if (volume.region !== region)
      throw new FlyError(
        412,
        `failed_precondition: volume ${id} is in ${volume.region}, the machine in ${region}`,
      )
    const before = machine?.config.mounts?.[0]?.volume
    if (before && before !== id)
      throw new FlyError(412, 'failed_precondition: the volume of a machine cannot change')
  }
}

/**
 * The mounts as Fly keeps them, with facts of their volumes. `fly scale count` makes more volumes
 * with the size and encryption that it reads there: flyctl's scale/machine_defaults.go.
 */
export const withVolumeFacts = (
  state: FlyState,
  mounts: NonNullable<Machine['config']['mounts']>,
): typeof mounts =>
  mounts.map((mount) => {
    const { name, size_gb, encrypted } = state.volumes.get(mount.volume ?? '')!
    return { name, ...mount, size_gb, encrypted: encrypted ?? true }
  })

export function removeVolume(state: FlyState, volume: Volume): void {
  for (const { id } of [volume, ...volume.snapshots])
    rmSync(state.folder('volumes', id), { recursive: true, force: true })
  state.volumes.delete(volume.id)
}

const VolumeSettings = z.object({
  snapshot_retention: z.int().min(1).max(60).nullish(),
  auto_backup_enabled: z.boolean().nullish(),
})
const NewVolume = VolumeSettings.extend({
  name: z.string().regex(/^[a-z0-9_]{1,30}$/),
  /** A fork stays in the region of its source if none is given: flyctl's `volumes fork`. */
  region: z.string().nullish(),
  size_gb: z.int().min(1).max(500).nullish(),
  encrypted: z.boolean().nullish(),
  fstype: z.enum(['ext4', 'raw']).nullish(),
  snapshot_id: z.string().nullish(),
  source_volume_id: z.string().nullish(),
})

function find(state: FlyState, app: App, id: string | undefined): Volume {
  const volume = state.volumes.get(id ?? '')
  if (volume?.app !== app.name) throw new FlyError(404, `not_found: volume not found: '${id}'`)
  return volume
}

function findSnapshot(state: FlyState, app: App, id: string): string {
  if (state.volumesOf(app.name).some(({ snapshots }) => snapshots.some((one) => one.id === id)))
    return id
  throw new FlyError(404, `not_found: snapshot not found: '${id}'`)
}

function holderOf(state: FlyState, id: string): Machine | undefined {
  const holds = ({ state, config }: Machine) =>
    state !== 'destroyed' && config.mounts?.some(({ volume }) => volume === id)
  return [...state.machines.values()].find(holds)
}

/** Omits the fields that only say that it has no machine. */
function overview(state: FlyState, volume: Volume) {
  const {
    attached_alloc_id: _none,
    attached_machine_id: machine,
    ...shown
  } = showVolume(state, volume)
  const attached = machine === null ? {} : { attached_machine_id: machine }
  return { ...shown, ...attached, app_name: volume.app, updated_at: volume.created_at }
}

export function showVolume(state: FlyState, volume: Volume) {
  return {
    id: volume.id,
    name: volume.name,
    state: 'created',
    size_gb: volume.size_gb,
    region: volume.region,
    zone: 'lab',
    encrypted: volume.encrypted ?? true,
    attached_machine_id: holderOf(state, volume.id)?.id ?? null,
    attached_alloc_id: null,
    created_at: volume.created_at,
    fstype: volume.fstype ?? 'ext4',
    host_status: 'ok' as const,
    snapshot_retention: volume.snapshot_retention ?? 5,
    auto_backup_enabled: volume.auto_backup_enabled ?? true,
    bytes_total: volume.size_gb * 2 ** 30,
  }
}
