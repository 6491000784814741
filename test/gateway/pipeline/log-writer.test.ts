import { expect, test, vi } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { LogWriter } from '../../../gateway/src/pipeline/log-writer.ts'

const limits = { stepBytes: 1000, allBytes: 1500, tailBytes: 200 }

function start() {
  const batches: NewEvent[][] = []
  const append = async (events: NewEvent[]) => !!batches.push(events)
  const log = new LogWriter(append, ['correct-horse'], { limits })
  const say = (step: string, ...lines: string[]) =>
    log.emit({ type: 'log', step, stream: 'stdout', text: lines.join('\n') })
  return { log, say, batches, events: () => batches.flat() }
}
const many = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => `line ${from + n} ${'x'.repeat(40)}`)
const texts = (events: NewEvent[], step: string) =>
  events.flatMap((event) =>
    event.type === 'log' && event.step === step ? event.text.split('\n') : [],
  )

test('a step with too much output keeps its beginning and end, and the log says what is missing between them', async () => {
  const { log, say, events } = start()
  for (const line of many(100)) say('s1', line)
  log.emit({ type: 'step', step: 's1', name: 'make', status: 'failed' })
  await log.flush()
  const all = events()
  const emitted = texts(all, 's1')
  const dropped = all.findIndex(({ type }) => type === 'dropped')
  const missing = all[dropped] as NewEvent & { type: 'dropped' }
  expect(emitted.slice(0, dropped)).toEqual(many(dropped))
  expect(all.slice(dropped + 1).map(({ type }) => type)).toEqual(['log', 'step'])
  expect(emitted.slice(dropped)).toEqual(
    many(100 - dropped - missing.lines, dropped + missing.lines),
  )
  expect(emitted.slice(0, dropped).join('\n').length).toBeLessThan(limits.stepBytes)
  expect(emitted.slice(dropped).join('\n').length).toBeLessThan(limits.tailBytes)

  const allBytes = many(100).join('\n').length + 1
  expect(missing).toMatchObject({ step: 's1', bytes: allBytes - emitted.join('\n').length - 1 })
  expect(log.redactedProblem({ step: 'make' } as never)).toMatchObject({ lastLines: many(20, 80) })
})

test('the last lines of a failed step include output that follows its end', async () => {
  const { log, say } = start()
  say('s1', 'early')
  log.emit({ type: 'step', step: 's1', name: 'make', status: 'failed' })
  log.emit({ type: 'step', step: 's2', name: 'make other', status: 'done' })
  await log.flush()
  say('s1', 'the reason')
  await log.flush()
  const { lastLines } = log.redactedProblem({ step: 'make' } as never)
  expect(lastLines).toEqual(['early', 'the reason'])
})

test('the last lines of a step that still ran are kept for a build that took too long', async () => {
  const { log, say } = start()
  log.emit({ type: 'step', step: 's1', name: 'make', status: 'started' })
  say('s1', 'waiting for input')
  await log.flush()
  const { lastLines } = log.redactedProblem({ step: 'make' } as never)
  expect(lastLines).toEqual(['waiting for input'])
})

test('all steps share a limit; other events pass, and a short output over the limit loses nothing', async () => {
  const { log, say, events } = start()
  for (const step of ['s1', 's2', 's3']) for (const line of many(18)) say(step, line)
  log.emit({ type: 'step', step: 's4', name: 'later', status: 'started' })
  say('s4', 'all of it', 'is short')
  for (const step of ['s1', 's2', 's3', 's4'])
    log.emit({ type: 'step', step, name: step, status: 'done' })
  await log.flush()
  expect(texts(events(), 's1')).toEqual(many(18))
  expect(texts(events(), 's2').length).toBeLessThan(18)
  expect(texts(events(), 's3')).toEqual(many(4, 14))
  expect(texts(events(), 's4')).toEqual(['all of it', 'is short'])
  expect(events().filter(({ type }) => type === 'dropped')).toMatchObject([
    { step: 's2' },
    { step: 's3', lines: 14 },
  ])
  expect(events().filter(({ type }) => type === 'step')).toHaveLength(5)
})

test('a step beyond its limit shows signs of life from time to time', async () => {
  vi.useFakeTimers()
  try {
    const { say, events } = start()
    for (const line of many(50)) say('s1', line)
    await vi.advanceTimersByTimeAsync(200)
    expect(texts(events(), 's1').at(-1)).not.toBe(many(50).at(-1))
    await vi.advanceTimersByTimeAsync(25_000)
    expect(texts(events(), 's1').at(-1)).toBe(many(50).at(-1))
  } finally {
    vi.useRealTimers()
  }
})

test('a failed write is retried; when that fails too, the log holds a gap and the operator is notified', async () => {
  const batches: NewEvent[][] = []
  const failures: unknown[] = []
  let failing = 0
  const full = new Error('full')
  const append = async (events: NewEvent[]) => {
    if (failing-- > 0) throw full
    return !!batches.push(events)
  }
  const log = new LogWriter(append, [], { failed: (error) => failures.push(error) })
  const note = (text: string) => (log.emit({ type: 'note', text }), log.flush())
  const written = () =>
    batches.flat().map((event) => ('text' in event ? [event.type, event.text] : []))

  failing = 1
  await note('one')
  expect(written()).toEqual([['note', 'one']])
  failing = 2
  await note('two')
  expect(written().slice(1)).toEqual([['gap', expect.stringContaining('missing')]])

  failing = 5
  await note('three')
  await note('four')
  await note('five')
  expect(written().slice(2)).toEqual([
    ['gap', expect.stringContaining('missing')],
    ['note', 'five'],
  ])
  expect(failures).toEqual([full, full, full])
})

test('a secret that the limit cuts in two is still redacted', async () => {
  const { log, say, events } = start()
  for (const line of many(30)) say('s1', line, 'correct-')
  for (const line of ['horse', 'correct-horse']) say('s1', line)
  await log.flush()
  expect(JSON.stringify(events())).not.toContain('horse')
})

test('lines that the daemon dropped are counted with the lines that the log drops', async () => {
  const { log, say, events } = start()
  for (const line of many(30)) say('s1', line)
  log.emit({ type: 'dropped', step: 's1', lines: 1000, bytes: 48_000 })
  say('s1', ...many(3, 1030))
  log.emit({ type: 'step', step: 's1', name: 'make', status: 'failed' })
  log.emit({ type: 'dropped', step: 's2', lines: 5, bytes: 10 })
  await log.flush()
  const [dropped, ...more] = events().filter((event) => event.type === 'dropped')
  expect(more).toEqual([{ type: 'dropped', step: 's2', lines: 5, bytes: 10 }])

  const emitted = texts(events(), 's1')
  expect(emitted.length + dropped!.lines).toBe(1033)
  expect(emitted.slice(-3)).toEqual(many(3, 1030))
  expect(log.redactedProblem({ step: 'make' } as never)['lastLines']).toEqual([
    ...many(17, 13),
    ...many(3, 1030),
  ])
})

test(
  'a tail of very many lines from alternating streams is kept',
  { timeout: 60_000 },
  async () => {
    const events: NewEvent[] = []
    const append = async (more: NewEvent[]) => more.every((event) => events.push(event))
    const log = new LogWriter(append, [], {
      limits: { stepBytes: 10, allBytes: 10, tailBytes: 1e6 },
    })
    for (let at = 0; at < 150_000; at++)
      log.emit({ type: 'log', step: 's1', stream: at % 2 ? 'stdout' : 'stderr', text: 'x' })
    await log.flush()
    expect(events.filter(({ type }) => type === 'log')).toHaveLength(150_000)
  },
)
