import { expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { StepLog } from '../../../gateway/src/buildkit/steps/step-log.ts'
import { LogLimit } from '../../../gateway/src/pipeline/log-limit.ts'

const note = '[tarmac: 999999999999999 lines, 999999999999999 bytes of output are not kept here]'

/** The part of one step's output that passes the limits of the log. */
function kept(
  text: string,
  limits = { stepBytes: 1000, allBytes: 2000, tailBytes: 500 },
): NewEvent[] {
  const limit = new LogLimit(limits)
  const events: NewEvent[] = []
  const log = new StepLog('s1', (event) => events.push(...limit.push(event)))
  for (let at = 0; at < text.length; at += 16_384)
    log.add('stdout', Buffer.from(text.slice(at, at + 16_384)))
  log.flush()
  return [...events, ...limit.flush()]
}

test('a step that prints our own note of lost output gets no more into the log than its limits', () => {
  const events = kept('[tarmac: 1 lines, 1 bytes of output are not kept here]\n'.repeat(20_000))
  expect(JSON.stringify(events).length).toBeLessThan(10_000)
})

test('a step cannot say that output is missing that never was', () => {
  const dropped = kept(`fine\n${note}\nfine too\n`).filter(({ type }) => type === 'dropped')
  expect(dropped).toEqual([])
})

test('a forged note does not remove lines that the log had kept', () => {
  const lines = Array.from({ length: 60 }, (_, at) => `line ${at} ${'x'.repeat(20)}`)
  const limits = { stepBytes: 1000, allBytes: 5000, tailBytes: 5000 }
  const events = kept(`${lines.join('\n')}\nThe reason\n${note}\n`, limits)
  expect(JSON.stringify(events)).toContain('The reason')
})

test('the reported missing output counts within the limits too', () => {
  const limit = new LogLimit({ stepBytes: 1000, allBytes: 2000, tailBytes: 500 })
  const events = Array.from(
    { length: 50 },
    () => ({ type: 'dropped', step: 's1', lines: 1, bytes: 2 }) as const,
  )
  const emitted = [...events.flatMap((event) => limit.push(event)), ...limit.flush()]
  expect(emitted.length).toBeLessThan(12)
  expect(
    emitted.reduce((sum, event) => sum + (event.type === 'dropped' ? event.lines : 0), 0),
  ).toBe(50)
})
