import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolList } from '../api/previews/pool.ts'
import type { Preview } from '../api/previews/preview.ts'
import { fill, routes } from '../api/routes.ts'
import type { Lab } from '../lab/start-lab.ts'
import { askFly } from '../lab/use-lab.ts'
import type { Measure } from './measure.ts'
import { app, ask, createByHand, untilAnswer } from './preview-calls.ts'
import { sideBySide } from './side-by-side.ts'

const goal = 1.2
const template = 'pooled'
const config = '[http_service]\ninternal_port = 8080\n[[vm]]\nmemory = "512mb"\n'
const byHand = 'claim-by-hand'

/**
 * A request that takes a machine from a pool, compared with one call that starts an equal suspended
 * machine: each until the first answer.
 */
export async function compareClaims(lab: Lab, image: string, runs: number): Promise<Measure> {
  await ask(lab, 'PUT', fill(routes.template, { app, name: template }), { config })
  await ask(lab, 'PUT', fill(routes.pool, { app, template }), { image, size: 1 })
  const machine = `/apps/${byHand}/machines/${await createByHand(lab, byHand, image)}`
  let number = 0

  const compared = await sideBySide(runs, {
    async before() {
      await untilPoolRests(lab)
      await askFly(lab, 'POST', `${machine}/suspend`)
      await askFly(lab, 'GET', `${machine}/wait?state=suspended&timeout=60`)
    },
    async ours() {
      const startedAt = performance.now()
      const body = { app, owner: `claims-${number++}`, template, source: { image } }
      const preview = await ask<Preview>(lab, 'POST', `${routes.previews}?wait=true`, body)
      await untilAnswer(lab, preview.flyApp)
      const tookMs = performance.now() - startedAt
      if (!preview.fromPool) throw new Error(`${preview.id} was not from the pool`)
      await untilPoolRests(lab)
      await ask(lab, 'DELETE', fill(routes.preview, { id: preview.id }))
      return tookMs
    },
    async theirs() {
      const startedAt = performance.now()
      await askFly(lab, 'POST', `${machine}/start`)
      await untilAnswer(lab, byHand)
      return performance.now() - startedAt
    },
  })
  await ask(lab, 'DELETE', fill(routes.pool, { app, template }))
  await askFly(lab, 'DELETE', `/apps/${byHand}?force=true`)
  const what = 'claim to first answer'
  return { bench: 'previews', what, runs, ...compared, goal, ok: compared.ratio <= goal }
}

/** The pool makes the next one after a claim. Neither way competes with that. */
async function untilPoolRests(lab: Lab): Promise<void> {
  const pools = () => ask<PoolList>(lab, 'GET', routes.pools)
  while ((await pools()).pools.some(({ ready }) => ready === 0)) await sleep(100)
}
