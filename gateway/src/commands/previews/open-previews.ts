import { aliveStates } from '#api/previews/preview.ts'
import type { Admission } from '../../callers/admission.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Drain } from '../drain.ts'
import { seenBy } from '../access/seen-by.ts'
import { type CreateDeps, createPreview, endOf, planOf } from './create-preview.ts'
import { findPreview, over, whileAlive } from './find-preview.ts'
import { type LivingDeps, livingPreviews } from './living.ts'
import { lastRequests, type RequestsDeps } from './last-requests.ts'
import { markEnd } from './mark-end.ts'
import { readLogs, runInside } from './look-inside.ts'
import { changePower, type PowerDeps } from './power.ts'
import type { PreviewCommands } from './preview-commands.ts'

export type PreviewDeps = CreateDeps &
  Pick<PowerDeps, 'fly'> & {
    store: Pick<DeploymentStore, 'refuseBusyLane'> & LivingDeps['store']
    prices: LivingDeps['prices']
    metrics: RequestsDeps['metrics']
    drain: Pick<Drain, 'whileOpen'>
    admission: Pick<Admission, 'isExempt'>
  }

/** See `PreviewCommands`. */
export function openPreviews(deps: PreviewDeps): PreviewCommands {
  const { store, drain, fly, admission } = deps
  const { previews } = store
  const requests = lastRequests(deps)

  return {
    create: drain.whileOpen((caller, request, parts) =>
      createPreview(caller, request, parts, deps),
    ),
    async assertRoom(caller, request, { idempotencyKey }) {
      const announced = await planOf(request, deps)
      const exempt = admission.isExempt(caller)
      await store.refuseBusyLane({ ...announced, idempotencyKey, exempt })
    },
    find: (_caller, id) => findPreview(previews, id),
    list: (caller, filter, page) =>
      previews.list(filter, { ...page, isSeen: seenBy(caller, store.teams) }),
    living: (_caller, filter) => livingPreviews(filter, deps),
    requests: (_caller, filter) => requests(filter),
    async extend(_caller, id, ttlSeconds) {
      const end = endOf(ttlSeconds, deps.previewLimits.ttlMs)
      await findPreview(previews, id)
      const extended = (await previews.setEnd(id, end)) ?? (await orOver(id))
      await markEnd(extended, fly)
      return extended
    },
    async destroy({ name }, id) {
      const ending = { why: 'asked', by: name } as const
      await findPreview(previews, id)
      return (
        (await previews.move(id, aliveStates, 'destroying', { ending })) ??
        findPreview(previews, id)
      )
    },
    change: ({ name }, id, action) =>
      whileAlive(previews, id, () => changePower(name, id, action, { fly, store })),
    logs: (_caller, id, count) =>
      whileAlive(previews, id, () => readLogs(id, count, { fly, store })),
    exec: ({ name }, id, request) =>
      whileAlive(previews, id, () => runInside(name, id, request, { fly, store })),
  }

  async function orOver(id: string): Promise<never> {
    throw over(await findPreview(previews, id))
  }
}
