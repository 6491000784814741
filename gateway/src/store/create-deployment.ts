import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { earlierRequestsOf, requestOf } from '../deployments/idempotency.ts'
import { maySupersede } from '../deployments/lanes.ts'
import { routerTrigger } from '../deployments/router/router-store.ts'
import type { AnnouncedDeployment, NewDeployment } from '../deployments/store.ts'
import type { Need } from './callers/quota-rows.ts'
import { claimEntry, fitsOfNew, makeRoomFor } from './previews/claim-entry.ts'
import { bodyText, newBody, toDeployment } from './record.ts'
import { knownKey, findByKey, recordKey } from './rows/request-keys.ts'
import type { Tables } from './tables.ts'

/** See `DeploymentStore.create`. For use within a transaction of the store. */
export function createDeployment(tables: Tables, fresh: NewDeployment): Deployment {
  const { deployments, lanes, queue, apps, secrets, tokens, quotas, previews, ownerApps, owners } =
    tables
  const { id, app, idempotencyKey, link, preview, exempt = false } = fresh

  // The app of a preview is another one each time.
  const request = { requestBody: requestOf(fresh), earlier: earlierRequestsOf(fresh) }
  const keyed = { app: preview?.app ?? app, ...request }
  const key = idempotencyKey ? { ...keyed, key: idempotencyKey } : null
  const previous = key && findByKey(deployments, key)
  if (link) tokens.assertFree(link, previous?.id ?? null)
  if (previous) return toDeployment(previous)
  refuseOwnApps(tables, preview?.app ?? app, fresh.options)
  const claimed = claimEntry(tables, fresh)
  if (claimed && key) recordKey(deployments, key, claimed.id)
  if (claimed) return claimed

  const settings = apps.settings(app)
  const body = newBody(fresh, settings)
  const { lane: policy, owner } = body.options
  const lane = { app, owner: owner ?? '' }
  lanes.assertMayJoin(lane, policy)
  owners.destroys.assertNone(lane)
  const others = maySupersede(policy) ? lanes.passing(lane) : []

  body.flyApp = ownerApps.place({ app, owner }, settings.owners)
  const text = bodyText(body)
  queue.assertHasRoom(app, Buffer.byteLength(text))
  const builds = body.image === null && body.requestedImage === null
  // A rollback ends an outage. It builds nothing, and adds no machines.
  if (!exempt && !body.rollback) quotas.assertRoom(needOf(app, body.options, builds))
  // Entries of pools have a limit of their own.
  if (preview && preview.pool !== 'entry') makeRoomFor(tables, preview, exempt)
  if (builds) quotas.countBuild(app)
  const made = deployments.insert({ id, app, body, text })

  apps.add(app)
  // Known from here on: no other team may make it, and with it get the previews.
  if (preview) apps.add(preview.app)
  const fits = preview?.pool === 'entry' ? fitsOfNew(fresh) : null
  if (preview) previews.add(preview, { ...body, flyApp: app, deployment: id, fits })
  if (fresh.source) tables.sentTrees.use(preview?.app ?? app, fresh.source.digest)
  if (link) tokens.use(link, id)
  for (const secret of fresh.secrets ?? []) secrets.put(`deployment:${id}`, secret, made.created_at)
  if (key) recordKey(deployments, key, id)
  lanes.arrive(made, others)
  return toDeployment(made)
}

/** See `DeploymentStore.refuseBusyLane`. */
export function refuseBusyLane(
  tables: Tables,
  { app, options, idempotencyKey: key, exempt = false, preview }: AnnouncedDeployment,
): void {
  const { deployments, lanes, queue, apps, quotas, previews, owners } = tables
  if (key && knownKey(deployments, preview?.app ?? app, key)) return
  refuseOwnApps(tables, preview?.app ?? app, options)
  queue.assertHasRoom(app, 0)
  const policy = options.lane ?? apps.settings(app).lane ?? null
  const lane = { app, owner: options.owner ?? '' }
  lanes.assertMayJoin(lane, policy)
  owners.destroys.assertNone(lane)
  if (!exempt) quotas.assertRoom(needOf(app, { ...options, lane: policy }, true))
  if (preview && !exempt) quotas.assertPreviewRoom(preview.app, previews.mayReplace(preview))
  if (preview) previews.assertRoom(preview)
}

/**
 * A second deployment would make a preview's app again after the preview's end, and nothing would
 * remove it. One to an owner's app would be no release of the owner's. Another program in a router's
 * app would get the routes, and owners would be live at an address that does not lead to them.
 */
function refuseOwnApps(
  { previews, ownerApps, routers }: Tables,
  flyApp: string,
  { trigger, owner }: Pick<NewDeployment['options'], 'trigger' | 'owner'>,
): void {
  const routed = routers.appOf(flyApp)
  if (routed !== null && (trigger !== routerTrigger || owner !== null))
    throw new Problem(
      'request-invalid',
      `${flyApp} is the router of ${routed}: the gateway deploys its program and its routes. For a new version of both: tarmac router ${routed}. For an earlier one: tarmac router ${routed} --release N; tarmac releases ${flyApp} lists them. To delete it, and use the name otherwise: tarmac router ${routed} --remove`,
    )
  const target = ownerApps.targetOf(flyApp)
  if (target)
    throw new Problem(
      'request-invalid',
      `${flyApp} is the app of owner ${target.owner} of ${target.app}. Deploy there by the names that it has: tarmac deploy ${target.app} --owner ${target.owner}`,
    )
  const app = previews.appOf(flyApp)
  if (app !== null)
    throw new Problem(
      'request-invalid',
      `${flyApp} is the app of a preview of ${app}. A preview has one deployment; make another preview instead: tarmac preview ${app}`,
    )
}

/** What it needs of its team's quotas. */
const needOf = (
  app: string,
  { owner, lane, deploy, count }: NewDeployment['options'],
  builds: boolean,
): Need => ({
  app,
  owner: owner ?? '',
  builds,
  machines: deploy ? (count ?? 'as before') : 'none',
  replaces: maySupersede(lane),
})
