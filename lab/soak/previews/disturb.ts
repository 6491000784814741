import { setTimeout as sleep } from 'node:timers/promises'
import type { Hostility } from '../../localfly/hostile.ts'
import type { Random } from '../random.ts'
import type { GatewayProcess } from './gateway-process.ts'

const points = [
  'record-made',
  'promised',
  'image-known',
  'egress-set',
  'create-sent',
  'machine-done',
  'verified',
  'cancel-requested',
  'entry-rested',
  'claim-started',
  'claim-answers',
]

/** Kills each gateway now and then, at any moment or at a crash point. */
export async function killAtRandom(
  gateway: GatewayProcess,
  { random, signal, meanMs }: { random: Random; signal: AbortSignal; meanMs: number },
): Promise<void> {
  while (!signal.aborted) {
    await sleep(meanMs / 2 + random.upTo(meanMs), undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    await gateway.up
    if (random.fraction() < 0.5) gateway.kill()
    else gateway.killAt(random.oneOf(points), 1 + random.upTo(2))
  }
}

/** Faults of Fly's API and of machines. They change every few seconds, and some times are calm. */
export function randomFaults(random: Random): Hostility {
  const seed = random.upTo(1e6)
  if (random.fraction() < 0.4) return { seed, faults: [] }
  const rate = random.oneOf([0.005, 0.01, 0.03])
  const atCall = [
    { fault: 'rate-limit', ms: 1000 },
    { fault: 'error-before' },
    { fault: 'error-after' },
    { fault: 'timeout-after' },
    { fault: 'late', ms: 1500 },
    { fault: 'edge' },
    { fault: 'cut' },
    { fault: 'cut-before' },
    { fault: 'cut-midway' },
    { fault: 'unseen' },
    { fault: 'slow', ms: 800 },
    { fault: 'refused' },
    { fault: 'host-gone', ms: 2000 },
    { fault: 'lease-stolen', ms: 2000 },
  ] as const
  const atMachine = [
    { fault: 'pull-fails' },
    { fault: 'never-starts' },
    { fault: 'crashes', ms: 300 },
    { fault: 'slow-start', ms: 1000 },
    { fault: 'slow-stop', ms: 1000 },
  ] as const
  return { seed, faults: [...atCall, ...atMachine].map((fault) => ({ ...fault, rate })) }
}
