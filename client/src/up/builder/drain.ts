import { pause } from '#api/flow/retry.ts'
import { routes } from '#api/routes.ts'
import { DrainFacts, drainLimits } from '#api/status/drain.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import { askInside, parsed } from './ask-inside.ts'
import type { FlyParts } from '../fly-parts.ts'
import { portIn } from './machine-config.ts'

const path = routes.drain
/** The gateway itself stops what runs longer than its limit. */
const drainMs = (drainLimits.usual + 60) * 1000
const lookMs = 2000
const endMs = 20_000

/**
 * Asks the gateway to take no new work, and waits until what runs has ended. A gateway that cannot
 * drain ends its work when it is stopped.
 */
export async function drain(fly: FlyParts, app: string, machine: Machine): Promise<void> {
  const ref = { app, id: machine.id }
  const port = portIn(configOf(machine))
  const deadline = performance.now() + drainMs
  let seen = ''
  let answer = await askInside(fly, ref, { port, path, method: 'POST' })

  for (;;) {
    const facts = answer && answer.status < 300 ? parsed(answer.body) : null
    const read = DrainFacts.safeParse(facts)
    if (!read.success) return
    const { state, running } = read.data
    if (state === 'drained') return fly.report(`machine ${machine.id}: drained, nothing runs`)
    if (state !== 'draining' || performance.now() > deadline) return

    const text = `draining: ${running} deployments run`
    if (text !== seen) fly.report(`machine ${machine.id}: ${text}`)
    seen = text
    await pause(lookMs, fly.signal)
    answer = await askInside(fly, ref, { port, path })
  }
}

/**
 * Lets a gateway that an earlier command has drained take work again. Also after an interrupt: a
 * builder that stays drained does no work.
 */
export async function endDrain(fly: FlyParts, app: string, machine: Machine): Promise<void> {
  const ref = { app, id: machine.id }
  const port = portIn(configOf(machine))
  const ending = { ...fly, signal: AbortSignal.timeout(endMs) }
  const ask = async (method: 'GET' | 'DELETE') => {
    const answer = await askInside(ending, ref, { port, path, method }).catch(() => null)
    return DrainFacts.safeParse(answer && parsed(answer.body)).data
  }

  const facts = await ask('GET')
  if (!facts || facts.state === 'working') return
  const ended = await ask('DELETE')
  fly.report(
    ended
      ? `machine ${machine.id}: takes work again`
      : `machine ${machine.id}: takes work again at ${facts.endsAt ?? 'its next start'}: its drain could not be ended`,
  )
}
