import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import { lookAt } from './look-at.ts'
import { findApp, type AppChoice } from './find-app.ts'
import type { FlyParts } from '../fly-parts.ts'
import { builderRole, roleKey } from './machine-config.ts'
import { drain } from './drain.ts'
import { changeOf } from '../leased.ts'

export type Removed = {
  /** Null: there was no builder. */
  app: string | null
  /** The volumes that are kept. */
  volumes: string[]
  /** Whether the app is kept, for its volumes. */
  hasApp: boolean
}

const stoppedMs = 120_000

/**
 * Removes the builder: its work ends first, then its machine and address go. Without
 * `deleteVolume` the volume is kept, and so is the app: Fly deletes an app with its volumes.
 * Running it again continues what an earlier run has left.
 */
export async function destroyBuilder(
  fly: FlyParts,
  request: AppChoice & { deleteVolume: boolean },
): Promise<Removed> {
  const app = await findApp(fly, request)
  if (!app) return { app: null, volumes: [], hasApp: false }

  const { name } = app
  const { machines, addresses, volumes } = await lookAt(fly, app)
  const foreign = machines.filter((machine) => !configOf(machine).metadata?.[roleKey])
  if (foreign.length > 0)
    throw new Problem(
      'builder-failed',
      `The app ${name} has machines that tarmac up did not make: ${foreign.map(({ id }) => id).join(', ')}. Nothing was removed. Destroy them first if nobody needs them: fly machine destroy ID --app ${name}.`,
    )

  for (const machine of machines) await remove(fly, name, machine)
  if (request.deleteVolume || volumes.length === 0) {
    await fly.machines.deleteApp(name, fly.signal)
    const gone = volumes.map(({ id, size_gb: gb }) => `volume ${id} (${gb ?? '?'} GB)`)
    fly.report(`app ${name}: destroyed${gone.length > 0 ? `, with ${gone.join(', ')}` : ''}`)
    return { app: name, volumes: [], hasApp: false }
  }

  for (const ip of addresses) {
    await fly.machines.releaseIp(name, ip, fly.signal)
    fly.report(`address ${ip}: released`)
  }
  return { app: name, volumes: volumes.map(({ id }) => id), hasApp: true }
}

/** Lets the machine's work end, stops it, and destroys it. */
async function remove(fly: FlyParts, app: string, machine: Machine): Promise<void> {
  const ref = { app, id: machine.id }
  if (configOf(machine).metadata?.[roleKey] === builderRole && machine.state === 'started') {
    await drain(fly, app, machine)
    try {
      await changeOf(fly, ref, (changes) => changes.stop(fly.signal))
      const state = ['stopped', 'failed'] as const
      await fly.machines.wait(ref, { state, withinMs: stoppedMs }, fly.signal)
    } catch (error) {
      fly.signal.throwIfAborted()
      fly.report(`machine ${machine.id}: it could not be stopped first (${errorMessage(error)})`)
    }
  }
  await changeOf(fly, ref, (changes) => changes.destroy(fly.signal))
  fly.report(`machine ${machine.id}: destroyed`)
}
