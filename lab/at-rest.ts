/**
 * The real state of a lab's machines, whatever records say: from localfly's own file and from
 * podman.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Podman } from './localfly/podman.ts'
import type { Machine } from './localfly/state.ts'
import { labName } from './sweep.ts'

const pollMs = 500
const patienceMs = 5000
/** Longer than any lease that the gateway takes. */
const leaseMs = 15_000

/**
 * Reads localfly's own file, so that no request uses up the gateway's limits. Omits destroyed
 * machines.
 */
export async function machinesIn(dir: string): Promise<Machine[]> {
  const file = await readFile(join(dir, 'localfly/state.json'), 'utf8').catch(
    () => '{"machines":[]}',
  )
  return (JSON.parse(file) as { machines: Machine[] }).machines.filter(
    ({ state }) => state !== 'destroyed',
  )
}

/** Checks repeatedly until nothing is wrong, for at most this long. */
export async function untilRight(
  look: () => Promise<string[]>,
  waitMs = patienceMs,
): Promise<string[]> {
  const deadline = performance.now() + waitMs
  for (;;) {
    const wrong = await look()
    if (wrong.length === 0 || performance.now() > deadline) return wrong
    await sleep(pollMs)
  }
}

/**
 * A lease whose nonce was lost with an answer expires by itself. A thief's lease belongs to the
 * soak.
 */
export function heldLeases(dir: string, ofApp?: string): Promise<string[]> {
  return untilRight(async () => {
    const held = (await machinesIn(dir)).filter(({ own: { app, lease } }) => {
      const isHeld =
        lease && lease.expires_at * 1000 > Date.now() && !lease.owner.startsWith('thief')
      return isHeld && (ofApp === undefined || ofApp === app)
    })
    return held.map(({ id }) => `the lease of machine ${id} is still held`)
  }, leaseMs)
}

export const podmanOf = (dir: string): Podman => new Podman({ dir, name: labName(dir) })

/**
 * Finds containers without a machine, and started machines that do not run or run another image.
 */
export function wrongContainers(dir: string): Promise<string[]> {
  return untilRight(async () => {
    const running = await podmanOf(dir).running()
    const machines = await machinesIn(dir)
    const strays = [...running.keys()].filter((name) => machines.every(({ id }) => id !== name))
    return [
      ...strays.map((name) => `container ${name} is no machine's`),
      ...machines
        .filter(({ state }) => state === 'started')
        .flatMap((machine) => misrun(machine, running)),
    ]
  })
}

/** Returns what is wrong with the container of a started machine. */
export function misrun(
  { id, image_ref: { digest } }: Machine,
  running: Map<string, string>,
): string[] {
  const image = running.get(id)
  return image?.endsWith(digest)
    ? []
    : [`podman runs ${image ?? 'nothing'} as ${id}, not ${digest}`]
}
