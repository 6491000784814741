import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Probed } from './probe.ts'
import { quantile } from './quantile.ts'

/** Medians of the windows, in milliseconds. `ratio` is the median of the windows' own ratios. */
export type Latency = { gatewayMs: number; idleMs: number; ratio: number; unanswered: number }

const windows = 3

/**
 * Compares the p99 of `/healthz` with that of an idle Node server on this machine. A separate
 * process asks both in turn, in three windows until `over`. The load of the machine affects both.
 */
export async function measureLatency(gateway: string, over: AbortSignal): Promise<Latency> {
  const children: ChildProcess[] = []
  const start = (file: string, ...args: string[]) => {
    const child = fork(join(import.meta.dirname, file), args)
    children.push(child)
    return child
  }
  try {
    const [port] = (await once(start('idle-server.ts'), 'message')) as [number]
    const probed: (Probed & { at: number })[] = []
    const from = performance.now()
    const probe = start('probe.ts', `${gateway}/healthz`, `http://127.0.0.1:${port}/`)
    probe.on('message', (answer: Probed) =>
      probed.push({ ...answer, at: performance.now() - from }),
    )
    if (!over.aborted) await once(over, 'abort')
    return latencyOf(probed, performance.now() - from)
  } finally {
    for (const child of children) child.kill()
  }
}

function latencyOf(probed: (Probed & { at: number })[], lastedMs: number): Latency {
  const each = Array.from({ length: windows }, (_, window) => {
    const inWindow = probed.filter(({ at }) => Math.floor((at / lastedMs) * windows) === window)
    const timesOf = (which: Probed['which']) =>
      inWindow.flatMap((answer) => (answer.which === which ? answer.ms : []))
    const p99Of = (which: Probed['which']) => quantile(timesOf(which), 0.99)
    return { gatewayMs: p99Of('gateway'), idleMs: p99Of('idle') }
  })
  const ratios = each.map(({ gatewayMs, idleMs }) => gatewayMs / idleMs)
  return {
    gatewayMs: rounded(median(each.map(({ gatewayMs }) => gatewayMs))),
    idleMs: rounded(median(each.map(({ idleMs }) => idleMs))),
    ratio: rounded(median(ratios)),
    unanswered: probed.filter(({ which, status }) => which === 'gateway' && status !== 200).length,
  }
}

const rounded = (value: number): number => Math.round(value * 100) / 100
const median = (values: number[]): number => quantile(values, 0.5)
