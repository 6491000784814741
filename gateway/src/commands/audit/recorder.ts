import type { AuditEntry } from '#api/callers/audit.ts'
import { asProblem } from '#api/problem.ts'
import { isObject } from '#api/is-object.ts'
import type { AuditTrail, BegunCall } from '../../deployments/audit/audit-trail.ts'
import type { Logger } from '../../log.ts'
import type { Call } from '../access/guarded.ts'
import type { Recorder } from '../access/open-gate.ts'
import { changedFields, smallFacts } from './facts.ts'
import { Refusals } from './refusals.ts'

type RecorderDeps = {
  trail: AuditTrail
  /** Removes secrets that a caller may have put where they do not belong. */
  redact: <T>(value: T) => T
  log: Pick<Logger, 'error'>
  /** Milliseconds since 1970. */
  now?: () => number
}

/** Of a refused call, which may name a thousand. */
const refusedTargets = 20

/**
 * Records each change in the audit trail: one entry before it runs and one after it, both synced. A
 * call whose first entry cannot be written does not run. So no change is without an entry, and one
 * without a second entry may have happened.
 */
export function openRecorder({ trail, redact, log, now }: RecorderDeps): Recorder {
  const facts = (value: unknown) => redact(smallFacts(value))
  const refusals = new Refusals(now)
  const end = (call: BegunCall, more: Omit<Parameters<AuditTrail['ended']>[0], keyof BegunCall>) =>
    trail.ended({ ...call, ...more }).catch((err: unknown) =>
      // The change has happened: its caller must know that.
      log.error(
        { err, command: call.command, result: more.result },
        'audit trail: the end of a call could not be recorded',
      ),
    )

  return {
    async record(call, run, find) {
      const { recorded, args } = call
      const was = await stateBefore(call, find)
      const begun = { ...describe(call), asked: facts(recorded?.asked?.([...args])) }
      const began = await trail.began(begun)
      let result
      try {
        result = await run()
      } catch (error) {
        const { code } = asProblem(error)
        await end(begun, { began, result: code, made: null, before: null, after: null })
        throw error
      }
      const is = recorded?.after?.(result, [...args], find) ?? null
      const changed = recorded?.before ? changedFields(was, is) : { before: null, after: is }
      const { before, after } = { before: facts(changed.before), after: facts(changed.after) }
      const made = recorded?.made ? recorded.made(result) : idOf(result)
      await end(begun, { began, result: 'ok', made, before, after })
      return result
    },
    async refused(call, why) {
      const unrecorded = refusals.note(call.caller)
      if (unrecorded === null) return
      const asked = call.recorded?.asked?.([...call.args])
      const more = unrecorded > 0 && { unrecordedBefore: unrecorded }
      const targets = call.targets.slice(0, refusedTargets)
      const begun = { ...describe({ ...call, targets }), asked: facts({ ...asked, ...more }) }
      const none = { began: null, made: null, before: null, after: null }
      await end(begun, { ...none, result: asProblem(why).code })
    },
  }
}

const describe = ({ command, caller, targets }: Call) => ({
  command,
  caller: callerOf(caller),
  targets: targets.map(({ app, owner }) => ({ app, ...(owner !== undefined && { owner }) })),
})

const callerOf = ({ name, kind, tokenId, address }: Call['caller']): AuditEntry['caller'] => ({
  name,
  kind,
  tokenId,
  address,
})

/** Null: there is none to record, or it cannot be read. The call itself says why. */
async function stateBefore(
  { recorded, args }: Call,
  find: Parameters<Recorder['record']>[2],
): Promise<object | null> {
  try {
    return (await recorded?.before?.([...args], find)) ?? null
  } catch {
    return null
  }
}

const idOf = (result: unknown): string | null =>
  isObject(result) && typeof result['id'] === 'string' ? result['id'] : null
