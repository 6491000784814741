import { z } from 'zod'
import { pause } from '#api/flow/retry.ts'
import { Rollout } from '#api/rollout.ts'
import { fill, routes } from '#api/routes.ts'
import { askGateway } from '../builder/ask-gateway.ts'

export type LoadTimes = {
  machines: number
  failed: number
  /** From the first request to the end of the last. */
  wallMs: number
  p50Ms: number
  p90Ms: number
  p99Ms: number
  maxMs: number
}

const parallel = 100
const lookMs = 500
const answerMs = 30_000
const Times = z.object({ state: z.string(), createdAt: z.string(), endedAt: z.string().nullable() })

/** Rolls the image of a deployment out to so many owners at once: each gets a machine of its own. */
export async function loadTest(
  at: { gateway: URL; token: string },
  { app, deployment, machines }: { app: string; deployment: string; machines: number },
  signal: AbortSignal,
): Promise<LoadTimes> {
  const begunAt = performance.now()
  const owners = Array.from({ length: machines }, (_, number) => `load-${number + 1}`)
  const body = {
    source: { deployment },
    targets: owners.map((owner) => ({ app, owner })),
    parallel: Math.min(machines, parallel),
    maxFailures: machines,
  }
  const call = { path: routes.rollouts, body, withinMs: answerMs }
  let rollout = Rollout.parse(await askGateway(at, call, signal))
  const path = fill(routes.rollout, { id: rollout.id })
  while (rollout.endedAt === null) {
    await pause(lookMs, signal)
    rollout = Rollout.parse(await askGateway(at, { path, withinMs: answerMs }, signal))
  }
  const wallMs = Math.round(performance.now() - begunAt)

  const lives: number[] = []
  for (const { deployment: id } of rollout.targets) {
    if (id === null) continue
    const record = fill(routes.deployment, { id })
    const { state, createdAt, endedAt } = Times.parse(
      await askGateway(at, { path: record, withinMs: answerMs }, signal),
    )
    if (state === 'live' && endedAt) lives.push(Date.parse(endedAt) - Date.parse(createdAt))
  }
  return { machines, failed: machines - lives.length, wallMs, ...percentiles(lives) }
}

/** By the nearest rank. All are 0 without values. */
export function percentiles(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { p50Ms: rank(0.5), p90Ms: rank(0.9), p99Ms: rank(0.99), maxMs: sorted.at(-1) ?? 0 }
}
