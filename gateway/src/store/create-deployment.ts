import type { Deployment } from '#api/deployment.ts'
import { requestOf } from '../deployments/idempotency.ts'
import { maySupersede } from '../deployments/lanes.ts'
import type { NewDeployment } from '../deployments/store.ts'
import { bodyText, newBody, toDeployment } from './record.ts'
import { knownKey, findByKey, recordKey } from './rows/request-keys.ts'
import type { Tables } from './tables.ts'

/** See `DeploymentStore.create`. For use within a transaction of the store. */
export function createDeployment(tables: Tables, fresh: NewDeployment): Deployment {
  const { deployments, lanes, queue, apps, secrets, tokens } = tables
  const { id, app, idempotencyKey, link } = fresh

  const key = idempotencyKey ? { app, key: idempotencyKey, requestBody: requestOf(fresh) } : null
  const previous = key && findByKey(deployments, key)
  if (link) tokens.assertFree(link, previous?.id ?? null)
  if (previous) return toDeployment(previous)

  const body = newBody(fresh, apps.settings(app))
  const { lane: policy, owner } = body.options
  const lane = { app, owner: owner ?? '' }
  lanes.assertMayJoin(lane, policy)
  const others = maySupersede(policy) ? lanes.passing(lane) : []

  const text = bodyText(body)
  queue.assertHasRoom(app, Buffer.byteLength(text))
  const made = deployments.insert({ id, app, body, text })

  apps.add(app)
  if (link) tokens.use(link, id)
  for (const secret of fresh.secrets ?? []) secrets.put(`deployment:${id}`, secret, made.created_at)
  if (key) recordKey(deployments, key, id)
  lanes.arrive(made, others)
  return toDeployment(made)
}

/** See `DeploymentStore.refuseBusyLane`. */
export function refuseBusyLane(
  { deployments, lanes, queue, apps }: Tables,
  {
    app,
    options: { owner, lane },
    idempotencyKey: key,
  }: Pick<NewDeployment, 'app' | 'options' | 'idempotencyKey'>,
): void {
  if (key && knownKey(deployments, app, key)) return
  queue.assertHasRoom(app, 0)
  lanes.assertMayJoin({ app, owner: owner ?? '' }, lane ?? apps.settings(app).lane ?? null)
}
