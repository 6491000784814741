import type { PreviewRequests, StatsFilter } from '#api/previews/preview-stats.ts'
import type { MetricsApi, MetricsRange } from '#fly/metrics/metrics-api.ts'
import { isPooled } from '../../deployments/previews/pool-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { keptAnswers, patiently } from '../machines/kept-answers.ts'

export type RequestsDeps = {
  store: Pick<DeploymentStore, 'previews'>
  metrics: Pick<MetricsApi, 'lastRequests'>
}

const keptMs = 30_000
const lookBackSeconds = 3 * 3600
const stepSeconds = 120
/** More make a query that Fly need not accept. */
const atOnce = 50
const mostAsked = 4 * atOnce

/** When each living preview answered last, as Fly's proxy counts it. The newest, where there are many. */
export function lastRequests({ store, metrics }: RequestsDeps) {
  const kept = keptAnswers<PreviewRequests>(keptMs)
  return ({ app, owner }: StatsFilter): Promise<PreviewRequests> =>
    kept(JSON.stringify([app, owner]), async () => {
      const living = (await store.previews.living()).filter(
        (preview) =>
          !isPooled(preview) &&
          (app === undefined || preview.app === app) &&
          (owner === undefined || preview.owner === owner),
      )
      const asked = living.toReversed().slice(0, mostAsked)
      const to = Math.floor(Date.now() / 1000)
      const range = { from: to - lookBackSeconds, to, step: stepSeconds }
      const flyApps = asked.map(({ flyApp }) => flyApp)
      const found =
        flyApps.length > 0 ? await patiently((late) => askFor(flyApps, range, late)) : null
      return {
        from: timeOf(range.from),
        stepSeconds,
        previews: asked.map(({ id, app: of, owner: by, flyApp }) => {
          const at = found?.get(flyApp)
          return { id, app: of, owner: by, lastRequestAt: at === undefined ? null : timeOf(at) }
        }),
        omitted: living.length - asked.length,
      }
    })

  async function askFor(flyApps: string[], range: MetricsRange, signal: AbortSignal) {
    const parts = Array.from({ length: Math.ceil(flyApps.length / atOnce) }, (_, at) =>
      flyApps.slice(at * atOnce, (at + 1) * atOnce),
    )
    const found = await Promise.all(parts.map((part) => metrics.lastRequests(part, range, signal)))
    return new Map(found.flatMap((each) => [...each]))
  }
}

const timeOf = (seconds: number): string => new Date(seconds * 1000).toISOString()
