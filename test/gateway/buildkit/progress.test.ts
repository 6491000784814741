import { expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { StatusResponse } from '../../../gateway/src/buildkit/messages.ts'
import { Progress } from '../../../gateway/src/buildkit/progress.ts'
import type { Encodable } from '../../../gateway/src/llb/wire.ts'

function start() {
  const events: NewEvent[] = []
  let pushes = 0
  const progress = new Progress({
    emit: (event) => events.push(event),
    pushing: () => (pushes += 1),
    plain: (text) => text.replaceAll('http://secret/', ''),
    recordOf: (name) => (name === 'measured' ? { cpuMs: 1500, peakMemoryBytes: 2 ** 20 } : null),
  })
  return {
    progress,
    events,
    pushes: () => pushes,
    take: (news: Encodable<typeof StatusResponse>) =>
      progress.take(StatusResponse.decode(StatusResponse.encode(news))),
  }
}
const at = (seconds: number) => ({ seconds, nanos: 500_000_000 })
const a = { digest: 'sha256:aaaaaaaaaaaa', name: 'RUN make' }

test('a source that is read several times is logged once, with its total time, when its step begins', () => {
  const { take, events, progress } = start()
  take({ vertexes: [a, { ...a, started: at(1) }] })
  expect(progress.settled).toBe(false)
  take({ vertexes: [{ ...a, started: at(1), completed: at(3) }] })
  take({ vertexes: [{ ...a, started: at(1), completed: at(3) }] })
  take({ vertexes: [{ ...a, started: at(5), completed: at(6) }] })
  const step = { type: 'step', step: 'aaaaaaaa', name: 'RUN make' }
  expect(events).toEqual([{ ...step, status: 'started' }])
  expect(progress.settled).toBe(true)

  const user = { digest: 'sha256:u', inputs: [a.digest], name: 'RUN use', started: at(7) }
  take({ vertexes: [user] })
  take({ vertexes: [{ ...user, completed: at(8) }] })
  progress.end()
  expect(events.slice(1)).toEqual([
    { ...step, status: 'done', ms: 3000 },
    { type: 'step', step: 'u', name: 'RUN use', status: 'started' },
    { type: 'step', step: 'u', name: 'RUN use', status: 'done', ms: 1000 },
  ])
})

test('the end of a step says what its program used, where the machine measured it', () => {
  const { take, events } = start()
  take({ vertexes: [{ ...a, inputs: ['sha256:i'], started: at(1) }] })
  take({ logs: [{ vertex: a.digest, stream: 2, text: Buffer.from('tarmac-step measured\n') }] })
  take({ vertexes: [{ ...a, inputs: ['sha256:i'], started: at(1), completed: at(3) }] })
  take({})
  const usage = { cpuMs: 1500, peakMemoryBytes: 2 ** 20 }
  expect(events.filter(({ type }) => type === 'step').slice(1)).toEqual([
    { type: 'step', step: 'aaaaaaaa', name: 'RUN make', status: 'done', ms: 2000, ...usage },
  ])
})

test('cached steps are logged once, internal ones only when they fail, and both count correctly', () => {
  const { take, events, progress } = start()
  const ended = { started: at(1), completed: at(1) }
  take({ vertexes: [{ ...a, ...ended, cached: true }] })
  take({ vertexes: [{ ...a, ...ended, cached: true }] })
  take({ vertexes: [{ digest: 'sha256:i', name: '[internal] load', ...ended }] })
  take({ vertexes: [{ digest: 'sha256:w', name: 'never begun' }] })
  take({
    vertexes: [
      {
        digest: 'sha256:j',
        name: '[internal] http://secret/x',
        ...ended,
        error: 'no http://secret/x',
      },
    ],
  })
  expect(events).toEqual([
    { type: 'step', step: 'aaaaaaaa', name: 'RUN make', status: 'cached' },
    { type: 'step', step: 'j', name: '[internal] x', status: 'failed', ms: 0, error: 'no x' },
  ])
  expect(progress.stats()).toEqual({ steps: 1, cached: 1, run: 0 })
})

test('output is logged in whole lines, wherever the daemon cuts it, even inside a character', () => {
  const { take, events, progress } = start()
  take({ vertexes: [{ ...a, started: at(1) }] })
  const log = (stream: number, text: Buffer | string) =>
    take({ logs: [{ vertex: a.digest, stream, text: Buffer.from(text) }] })
  const bytes = Buffer.from('one\ntw→\n\nthr')
  log(1, bytes.subarray(0, 7))
  log(2, 'warn\r\n')
  log(1, bytes.subarray(7))
  log(1, '\n')
  log(1, 'last')
  progress.end()
  const text = (stream: string) =>
    events.flatMap((event) => (event.type === 'log' && event.stream === stream ? [event.text] : []))
  expect(text('stdout')).toEqual(['one', 'tw→\n', 'thr', 'last'])
  expect(text('stderr')).toEqual(['warn\r'])
})

test('a step ends after its output, although the daemon reports its end first', () => {
  const { take, events, progress } = start()
  const ended = { ...a, started: at(1), completed: at(2), error: 'exit code: 1' }
  const log = (text: string) => ({ vertex: a.digest, stream: 1, text: Buffer.from(text) })
  take({ vertexes: [ended], logs: [log('one\ntw'), log('o\n')] })
  expect(events.map((event) => ('text' in event ? event.text : event.type))).toEqual([
    'step',
    'one\ntwo',
    'step',
  ])
  expect(progress.settled).toBe(true)
})

test.for(['an empty message', 'news of another step', 'nothing'])(
  'a step ends after output in many messages, when %s follows the last',
  (last) => {
    const { take, events, progress } = start()
    const step = { ...a, inputs: ['sha256:source'] }
    const log = (text: string) => ({ vertex: a.digest, stream: 1, text: Buffer.from(text) })
    take({ vertexes: [{ ...step, started: at(1) }] })
    const large = `${'x'.repeat(99)}\n`.repeat(330)
    take({
      vertexes: [{ ...step, started: at(1), completed: at(2) }],
      logs: Array(32).fill(log(large)),
    })
    take({ logs: [log(large)] })
    take({ logs: [log('the re')] })
    take({ logs: [log('ason\n')] })
    expect(progress.running()).toEqual(['RUN make'])

    if (last === 'an empty message') take({})
    if (last === 'news of another step')
      take({ vertexes: [{ digest: 'sha256:b', name: 'RUN next', started: at(3) }] })
    if (last === 'nothing') progress.end()
    const [, ...kinds] = events.map((event) =>
      event.type === 'step' ? `${event.name} ${event.status}` : event.type,
    )
    const end = kinds.indexOf('RUN make done')
    expect(kinds.slice(0, end)).not.toContain('RUN next started')
    expect(kinds.slice(end)).not.toContain('log')
    expect(events[end]).toMatchObject({ type: 'log', text: 'the reason' })
  },
)

test('a line without an end is not held forever', () => {
  const { take, events } = start()
  take({ vertexes: [{ ...a, started: at(1) }] })
  take({ logs: [{ vertex: a.digest, stream: 1, text: Buffer.from('x'.repeat(20_000)) }] })
  expect(events.at(-1)).toMatchObject({ type: 'log', text: 'x'.repeat(20_000) })
})

test('the push is logged once, when the image exporter begins it', () => {
  const { take, pushes } = start()
  const image = { digest: 'sha256:e', name: 'exporting to image', started: at(1) }
  take({ vertexes: [image, { ...a, started: at(1) }] })
  take({ statuses: [{ id: 'pushing water', vertex: a.digest }] })
  take({ statuses: [{ id: 'exporting layers', vertex: image.digest }] })
  expect(pushes()).toBe(0)
  take({ statuses: [{ id: 'pushing layers', vertex: image.digest }] })
  take({ statuses: [{ id: 'pushing manifest for x', vertex: image.digest }] })
  expect(pushes()).toBe(1)
})

const key = '0b5c5f0e-3f3a-4f0e-9d0a-5d9e0f1c2b3a'
const mark = (words: string) => `\x1e${key} ${words};`
/** A message with output of a step, as `runc-with-output-limit` sends it. */
const printed = (digest: string, ...texts: string[]) => ({
  logs: texts.map((text) => ({ vertex: digest, stream: 2, text: Buffer.from(text) })),
})
const firstLine = `tarmac-step yx0p0o2n7lsr9nkdw1o8bhqzi ${key}\n`
/** The events, each as one line. */
const shown = (events: NewEvent[]) =>
  events.map((event) => {
    if (event.type === 'step') return `${event.name} ${event.status}`
    if (event.type === 'log') return `${event.stream}: ${event.text}`
    return event.type === 'dropped' ? `${event.lines} lines, ${event.bytes} bytes` : event.type
  })

test('a step ends after its last output, although output follows the end in later batches', () => {
  const { take, events, progress } = start()
  const step = { ...a, inputs: ['sha256:source'], started: at(1) }
  take({ vertexes: [step], ...printed(a.digest, firstLine + mark('stdout'), 'one\n') })
  take({ vertexes: [{ ...step, completed: at(2), error: 'exit code: 1' }] })
  take({ statuses: [{ id: 'other', vertex: 'sha256:b' }] })
  take(printed(a.digest, 'two\n', `${mark('stderr')}the rea`))
  expect(progress.settled).toBe(false)
  take({})
  take(printed(a.digest, `son${mark('end')}`))
  expect(progress.settled).toBe(true)
  expect(shown(events)).toEqual([
    'RUN make started',
    'stdout: one',
    'stdout: two',
    'stderr: the reason',
    'RUN make failed',
  ])
})

test.for(['a step that uses it begins', 'the solve is over'])(
  'a step whose output has no end ends when %s',
  (last) => {
    const { take, events, progress } = start()
    const step = { ...a, inputs: ['sha256:source'], started: at(1) }
    take({ vertexes: [step], ...printed(a.digest, firstLine + mark('stdout'), 'cut o') })
    take({ vertexes: [{ ...step, completed: at(2) }] })
    take({ vertexes: [{ digest: 'sha256:b', name: 'RUN other', started: at(3) }] })
    expect(shown(events).at(-1)).toBe('RUN other started')

    if (last === 'the solve is over') progress.end()
    else take({ vertexes: [{ digest: 'sha256:c', inputs: [a.digest], name: 'c', started: at(4) }] })
    expect(shown(events)).toContain('stdout: cut o')
    expect(shown(events)).toContain('RUN make done')
    expect(progress.running()).not.toContain('RUN make')
  },
)

test('steps that run in parallel end after their own output when one of them fails', () => {
  const { take, events, progress } = start()
  const about = { inputs: ['sha256:source'], started: at(1) }
  const one = { digest: 'sha256:a', name: 'RUN a', ...about }
  const two = { digest: 'sha256:b', name: 'RUN b', ...about }
  take({
    vertexes: [one, two],
    logs: [...printed(one.digest, firstLine).logs, ...printed(two.digest, firstLine).logs],
  })
  take({ vertexes: [{ ...one, completed: at(2), error: 'exit code: 1' }] })
  take({ vertexes: [{ ...two, completed: at(2), error: 'context canceled' }] })
  take({
    logs: [
      ...printed(two.digest, 'half of b').logs,
      ...printed(one.digest, `the reason\n${mark('end')}`).logs,
    ],
  })
  progress.end()
  expect(shown(events).slice(2)).toEqual([
    'stderr: the reason',
    'RUN a failed',
    'stderr: half of b',
    'RUN b failed',
  ])
  expect(progress.failed()?.name).toBe('RUN a')
})

test('a step that runs twice ends once, after the output of its last run', () => {
  const { take, events } = start()
  const step = { ...a, inputs: ['sha256:source'] }
  const first = { ...step, started: at(1), completed: at(2), error: 'context canceled' }
  take({ vertexes: [first], ...printed(a.digest, `${firstLine}once\n`) })
  take({ vertexes: [first] })
  take({ vertexes: [{ ...step, started: at(3) }], ...printed(a.digest, `${firstLine}again\n`) })
  take({ vertexes: [{ ...step, started: at(3), completed: at(4) }] })
  take({ vertexes: [{ ...step, started: at(3), completed: at(4) }] })
  take(printed(a.digest, mark('end')))
  take({ vertexes: [{ ...step, started: at(3), completed: at(4) }] })
  expect(shown(events)).toEqual([
    'RUN make started',
    'stderr: once',
    'stderr: again',
    'RUN make done',
  ])
})

test('steps that are cached or print nothing end at once', () => {
  const { take, events, progress } = start()
  const ended = { inputs: ['sha256:source'], started: at(1), completed: at(2) }
  take({ vertexes: [{ ...a, ...ended, cached: true }] })
  take({ vertexes: [{ digest: 'sha256:c', name: 'COPY . .', ...ended }] })
  expect(shown(events)).toEqual(['RUN make cached', 'COPY . . started', 'COPY . . done'])
  expect(progress.settled).toBe(true)
})

test('the warnings of a batch in several messages are logged once', () => {
  const { take, events } = start()
  const warnings = [{ vertex: a.digest, short: Buffer.from('old syntax') }]
  const log = { vertex: a.digest, stream: 1, text: Buffer.alloc(2 ** 20 + 1, 'x\n') }
  take({ vertexes: [{ ...a, started: at(1) }], logs: [log], warnings })
  take({ logs: [{ ...log, text: Buffer.from('more\n') }], warnings })
  expect(events.filter(({ type }) => type === 'warning')).toHaveLength(1)
})
