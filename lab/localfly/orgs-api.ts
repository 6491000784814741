import { FlyError } from './fly-error.ts'
import type { Routes } from './routes.ts'
import type { FlyState, Machine, Volume } from './state.ts'
import { showVolume } from './volumes-api.ts'

/** All machines and volumes of an organisation, page by page. */
export function orgRoutes(routes: Routes, state: FlyState): void {
  const ofOrg = (org: string | undefined, app: string) => state.apps.get(app)?.org_slug === org
  routes.on('get', '/orgs/:org/machines', ({ params, query }) => {
    const all = [...state.machines.values()].filter(
      ({ own, state }) =>
        ofOrg(params['org'], own.app) && (state !== 'destroyed' || query.get('include_deleted') === 'true'),
    )
    const { page, last, next_cursor } = cut(all, query)
    const body = { machines: page.map(showMachine), ...(last && { last_machine_id: last.id }), next_cursor }
    return { status: 200, body: { ...body, error_regions: [] } }
  })
  routes.on('get', '/orgs/:org/volumes', ({ params, query }) => {
    const all = [...state.volumes.values()].filter(({ app }) => ofOrg(params['org'], app))
    const { page, last, next_cursor } = cut(all, query)
    const volumes = page.map((volume) => ({ ...showVolume(state, volume), app_name: volume.app }))
    return { status: 200, body: { volumes, ...(last && { last_volume_id: last.id }), next_cursor } }
  })
}

/** The cursor is the id of the last one that was told. */
function cut<T extends Machine | Volume>(all: T[], query: URLSearchParams) {
  const limit = Number(query.get('limit') ?? 1000)
  if (!(limit >= 1 && limit <= 1000)) throw new FlyError(400, 'invalid_argument: limit must be between 1 and 1000')
  const start = all.findIndex(({ id }) => id === query.get('cursor')) + 1
  const page = all.slice(start, start + limit)
  const last = page.at(-1)
  return { page, last, next_cursor: last && start + limit < all.length ? last.id : '' }
}

function showMachine({
  id,
  name,
  region,
  state,
  instance_id,
  private_ip,
  created_at,
  updated_at,
  config,
  own,
}: Machine) {
  const { image, guest, metadata } = config
  const times = { created_at, updated_at }
  const facts = { id, name, region, state, instance_id, version: instance_id, private_ip, app_name: own.app }
  return { ...facts, ...times, config: { image, guest, metadata } }
}
