import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import { askInside } from '../../up/builder/ask-inside.ts'
import { awaitReady } from '../../up/builder/await-ready.ts'
import { applyConfig } from '../../up/builder/change-machine.ts'
import { drain, endDrain } from '../../up/builder/drain.ts'
import { changeOf } from '../../up/leased.ts'
import { goBackSetting, portIn } from '../../up/builder/machine-config.ts'
import type { FlyParts } from '../../up/fly-parts.ts'
import { copyRecords, recordsCopy } from './copy-records.ts'

/**
 * The image that the machine ran before an upgrade that nobody has verified yet. Empty: the last
 * upgrade ended well.
 */
const beforeKey = 'tarmac_image_before'
const description = 'tarmac upgrade'
const startMs = 300_000
/** States that end by themselves. `restarting` may come again and again. */
const passing = new Set(['replacing', 'updating', 'starting', 'stopping'])
/** Other commands may change the machine at the same time. */
const mostAttempts = 5

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
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    const now = await fly.machines.machine(ref, fly.signal)
    if (!now) throw new Problem('builder-failed', `Machine ${ref.id} is gone. Run tarmac up.`)
    const from = configOf(now).image ?? ''
    const before = configOf(now).metadata?.[beforeKey] || null
    if (from === image) {
      fly.report(`machine ${ref.id}: already has this image; verifying it`)
      const version = await verifiedOrBack(fly, app, { machine: now, before })
      return { from: before ?? from, to: image, version, changed: false }
    }
    const kept = await replaced(fly, app, { machine: now, image, before })
    if (kept === null) continue
    const next = (await fly.machines.machine(ref, fly.signal)) ?? now
    const version = await verifiedOrBack(fly, app, { machine: next, before: kept })
    return { from: kept, to: image, version, changed: true }
  }
  throw new Problem(
    'builder-failed',
    `Other commands have changed machine ${ref.id} ${mostAttempts} times meanwhile. Run tarmac upgrade again.`,
  )
}

/**
 * Gives the machine the image. Returns the one to go back to, which stays marked until the new one is
 * verified. Null: another command has changed the machine meanwhile.
 */
async function replaced(
  fly: FlyParts,
  app: string,
  { machine, image, before }: { machine: Machine; image: string; before: string | null },
): Promise<string | null> {
  const config = configOf(machine)
  await started(fly, app, machine)
  const isWell = before === null || (await isVerified(fly, app, machine))
  const from = isWell ? (config.image ?? '') : before
  try {
    if (isWell) {
      const version = (await versionOf(fly, app, machine)) ?? 'unknown'
      fly.report(`machine ${machine.id}: runs ${from} (version ${version})`)
      await copyRecords(fly, { app, id: machine.id })
      await drain(fly, app, machine)
    } else
      fly.report(
        `machine ${machine.id}: an earlier upgrade from ${from} did not end, and ${config.image} does not work; the records from before it are kept`,
      )

    const { [goBackSetting]: _old, ...env } = config.env ?? {}
    const metadata = { ...config.metadata, [beforeKey]: from }
    fly.report(`machine ${machine.id}: updating to ${image}; Fly pulls it, for at most 5 minutes`)
    const next = { ...config, image, env, metadata }
    const current = { machine, config: next, description }
    return (await applyConfig(fly, app, current)) ? from : null
  } catch (error) {
    await endDrain(fly, app, machine)
    throw error
  }
}

/** A machine that is stopped has no gateway to drain, and runs no command. */
async function started(fly: FlyParts, app: string, machine: Machine): Promise<void> {
  const ref = { app, id: machine.id }
  let { state } = machine
  if (passing.has(state)) {
    fly.report(`machine ${machine.id}: ${state}; waits for the end of that`)
    const ends = ['started', 'stopped', 'failed'] as const
    await fly.machines.wait(ref, { state: ends, withinMs: startMs }, fly.signal)
    state = (await fly.machines.machine(ref, fly.signal))?.state ?? state
  }
  if (!['stopped', 'suspended'].includes(state)) return
  fly.report(`machine ${machine.id}: ${state}; starting`)
  await changeOf(fly, ref, (changes) => changes.start(fly.signal))
  await fly.machines.wait(ref, { state: ['started'], withinMs: startMs }, fly.signal)
}

const isVerified = (fly: FlyParts, app: string, machine: Machine): Promise<boolean> =>
  verified(fly, app, machine).then(
    () => true,
    (error: unknown) => {
      if (isOfImage(error)) return false
      throw error
    },
  )

/** Only these say something about the image. Fly may also be unavailable, or take a token away. */
const isOfImage = (error: unknown): error is Problem =>
  error instanceof Problem && error.code === 'builder-failed'

/**
 * Verifies the image of the machine, and removes the mark. If the image does not work, the machine
 * goes back to `before`, and this throws. If nobody can know, it throws and changes nothing.
 */
async function verifiedOrBack(
  fly: FlyParts,
  app: string,
  { machine, before }: { machine: Machine; before: string | null },
): Promise<string | null> {
  const ref = { app, id: machine.id }
  const image = configOf(machine).image ?? ''
  try {
    const version = await verified(fly, app, machine)
    if (before !== null) await fly.machines.withoutLease(ref).setMetadata(beforeKey, '', fly.signal)
    return version
  } catch (error) {
    fly.signal.throwIfAborted()
    if (!isOfImage(error)) throw notKnown(error, image)
    if (before === null || before === image) throw error
    throw await problemAfterReturn(fly, app, { id: machine.id, before, error })
  }
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
  { id, before, error }: { id: string; before: string; error: unknown },
): Promise<Problem> {
  const why = errorMessage(error)
  const machine = await fly.machines.machine({ app, id }, fly.signal)
  if (!machine) return new Problem('builder-failed', `${why}\nThe machine is gone. Run tarmac up.`)
  const now = configOf(machine)
  const env = { ...now.env, [goBackSetting]: recordsCopy }
  const metadata = { ...now.metadata, [beforeKey]: '' }
  const config = { ...now, image: before, env, metadata }
  fly.report(`machine ${id}: going back to ${before}`)
  try {
    await applyConfig(fly, app, { machine, config, description })
    await verified(fly, app, machine)
  } catch (failure) {
    fly.signal.throwIfAborted()
    return new Problem(
      'builder-failed',
      `The image ${now.image} did not work:\n${why}\nGoing back to ${before} failed too:\n${errorMessage(failure)}\nThe records before the upgrade are on the volume, as ${recordsCopy}.`,
    )
  }
  return new Problem(
    'builder-failed',
    `The image ${now.image} did not work, so the builder runs ${before} again, with its records. What failed:\n${why}`,
  )
}

function notKnown(error: unknown, image: string): unknown {
  if (!(error instanceof Problem)) return error
  const detail = `${error.message} So nobody knows yet whether ${image} works. The machine has it, and nothing was taken back. To verify it: tarmac upgrade --image ${image}.`
  return new Problem(error.code, detail, { cause: error, facts: error.facts })
}
