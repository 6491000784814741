import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { configOf, type Machine, type MachineConfig } from '#fly/machine.ts'
import { askInside } from '../../up/builder/ask-inside.ts'
import { awaitReady } from '../../up/builder/await-ready.ts'
import { applyConfig } from '../../up/builder/change-machine.ts'
import { drain, endDrain } from '../../up/builder/drain.ts'
import { portIn } from '../../up/builder/machine-config.ts'
import type { FlyParts } from '../../up/fly-parts.ts'
import { copyRecords, goBackSetting, recordsCopy } from './copy-records.ts'

/** The image that a machine ran before its last upgrade. */
const beforeKey = 'tarmac_image_before'
const description = 'tarmac upgrade'
const startMs = 300_000

export type Upgraded = { from: string; to: string; version: string | null; changed: boolean }

/**
 * Gives the builder's machine another image, on the same volume: copies the records, lets the work
 * end, updates, and verifies. If the new gateway does not become ready, the machine gets the image
 * and the records before. It may be killed at any time and run again.
 */
export async function upgradeBuilder(
  fly: FlyParts,
  app: string,
  { machine, image }: { machine: Machine; image: string },
): Promise<Upgraded> {
  const ref = { app, id: machine.id }
  const config = configOf(machine)
  const from = config.image ?? ''
  if (from === image) {
    fly.report(`machine ${machine.id}: already has this image; verifying it`)
    const before = config.metadata?.[beforeKey]
    const version = await verified(fly, app, machine).catch(async (error: unknown) => {
      if (!before || before === image) throw error
      throw await problemAfterReturn(fly, app, {
        failed: image,
        config: { ...config, image: before },
        error,
      })
    })
    return { from: before ?? from, to: image, version, changed: false }
  }

  await started(fly, app, machine)
  fly.report(
    `machine ${machine.id}: runs ${from} (version ${(await versionOf(fly, app, machine)) ?? 'unknown'})`,
  )
  await copyRecords(fly, ref)
  const { [goBackSetting]: _old, ...env } = config.env ?? {}
  const metadata = { ...config.metadata, [beforeKey]: from }
  const next = { ...config, image, env, metadata }
  try {
    await drain(fly, app, machine)
    const current = (await fly.machines.machine(ref, fly.signal)) ?? machine
    fly.report(`machine ${machine.id}: updating to ${image}; Fly pulls it, for at most 5 minutes`)
    await applyConfig(fly, app, { machine: current, config: next, description })
  } catch (error) {
    await endDrain(fly, app, machine)
    throw error
  }

  const version = await verified(fly, app, machine).catch(async (error: unknown) => {
    throw await problemAfterReturn(fly, app, {
      failed: image,
      config: { ...next, image: from },
      error,
    })
  })
  return { from, to: image, version, changed: true }
}

/** A machine that is stopped has no gateway to drain, and runs no command. */
async function started(fly: FlyParts, app: string, machine: Machine): Promise<void> {
  if (machine.state === 'started') return
  const ref = { app, id: machine.id }
  fly.report(`machine ${machine.id}: ${machine.state}; starting`)
  await fly.machines.withoutLease(ref).start(fly.signal)
  await fly.machines.wait(ref, { state: ['started'], withinMs: startMs }, fly.signal)
}

/** Checks pass, the gateway is ready, and it reads its records. Returns its version. */
async function verified(fly: FlyParts, app: string, machine: Machine): Promise<string | null> {
  const ref = { app, id: machine.id }
  await awaitReady(fly, ref, { isNew: false })
  const port = portIn(configOf(machine))
  const read = await askInside(fly, ref, { port, path: '/v1/rollouts' })
  if (read?.status !== 200)
    throw new Problem(
      'builder-failed',
      `The gateway of machine ${machine.id} is ready, but does not read its records: it answers ${read?.status ?? 'nothing'} ${read?.body.slice(0, 300) ?? ''}`,
    )
  const version = await versionOf(fly, app, machine)
  fly.report(
    `machine ${machine.id}: verified: version ${version ?? 'unknown'}, and it reads its records`,
  )
  return version
}

async function versionOf(fly: FlyParts, app: string, machine: Machine): Promise<string | null> {
  const port = portIn(configOf(machine))
  const answer = await askInside(fly, { app, id: machine.id }, { port, path: '/v1/status' })
  // The whole status is longer than what `askInside` reads.
  const found = answer?.status === 200 && /"version":"([^"]+)"/.exec(answer.body)
  return found ? (found[1] ?? null) : null
}

/** Restores the image and the records before. Returns the problem to end with. */
async function problemAfterReturn(
  fly: FlyParts,
  app: string,
  { failed, config, error }: { failed: string; config: MachineConfig; error: unknown },
): Promise<Problem> {
  fly.signal.throwIfAborted()
  const why = errorMessage(error)
  const [machine] = await fly.machines.machines(app, fly.signal)
  if (!machine) return new Problem('builder-failed', `${why}\nThe machine is gone. Run tarmac up.`)
  fly.report(`machine ${machine.id}: going back to ${config.image}`)
  const env = { ...config.env, [goBackSetting]: recordsCopy }
  try {
    await applyConfig(fly, app, { machine, config: { ...config, env }, description })
    await verified(fly, app, machine)
  } catch (failure) {
    fly.signal.throwIfAborted()
    return new Problem(
      'builder-failed',
      `The image ${failed} did not work:\n${why}\nGoing back to ${config.image} failed too:\n${errorMessage(failure)}\nThe records before the upgrade are on the volume, as ${recordsCopy}.`,
    )
  }
  return new Problem(
    'builder-failed',
    `The image ${failed} did not work, so the builder runs ${config.image} again, with its records. What failed:\n${why}`,
  )
}
