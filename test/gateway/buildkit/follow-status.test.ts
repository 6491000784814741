import { Readable } from 'node:stream'
import type { ClientReadableStream } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { followStatus } from '../../../gateway/src/buildkit/follow-status.ts'
import { StatusResponse } from '../../../gateway/src/buildkit/messages.ts'
import { Progress } from '../../../gateway/src/buildkit/progress.ts'

const digest = 'sha256:aaaaaaaaaaaa'
const line = 'x'.repeat(99)
const message = (news: Parameters<typeof StatusResponse.encode>[0]) =>
  StatusResponse.decode(StatusResponse.encode(news))
const output = (lines: number) => [
  { vertex: digest, stream: 1, text: Buffer.from(`${line}\n`.repeat(lines)) },
]
const started = { digest, name: 'RUN flood', started: { seconds: 1, nanos: 0 } }

/** Follows these messages. Each is ready when the reader asks for it. */
function follow(messages: Iterable<StatusResponse> | AsyncIterable<StatusResponse>) {
  const events: NewEvent[] = []
  const progress = new Progress({
    emit: (event) => events.push(event),
    pushing() {},
    plain: (text) => text,
    recordOf: () => null,
  })
  const stream = Object.assign(Readable.from(messages), { cancel: () => stream.destroy() })
  const heard = followStatus(stream as unknown as ClientReadableStream<StatusResponse>, progress)
  const lines = () =>
    events.reduce(
      (sum, event) => sum + (event.type === 'log' ? event.text.split('\n').length : 0),
      0,
    )
  const { signal } = new AbortController()
  return {
    events,
    lines,
    progress,
    heard: (isComplete = () => true) => heard({ isComplete, signal }),
  }
}

test('other work continues during a flood of output', async () => {
  const flood = [
    message({ vertexes: [started], logs: output(1) }),
    ...Array(200).fill(message({ logs: output(2000) })),
  ]
  const { lines, heard } = follow(flood)
  let [turns, open] = [0, true]
  const others = () => void (open && (turns++, setImmediate(others)))
  setImmediate(others)
  await heard()
  open = false
  expect(lines()).toBe(400_001)
  expect(turns).toBeGreaterThan(5)
})

test('status that arrived while the process was busy is read before the reader stops', async () => {
  async function* messages() {
    yield message({ vertexes: [{ ...started, completed: { seconds: 2, nanos: 0 } }] })
    for (let more = 0; more < 3; more++) {
      await new Promise(setImmediate)
      // simulates a heavy load
      for (const until = performance.now() + 300; performance.now() < until;);
      yield message({ logs: output(10) })
    }
  }
  const { lines, heard } = follow(messages())
  await heard()
  expect(lines()).toBe(30)
})

test('the reader stops when the stream of a settled solve does not end', async () => {
  async function* messages() {
    yield message({
      vertexes: [{ ...started, completed: { seconds: 2, nanos: 0 } }],
      logs: output(1),
    })
    await new Promise(() => {})
  }
  const { events, heard } = follow(messages())
  await heard()
  expect(events.map(({ type }) => type)).toEqual(['step', 'log', 'step'])
})

test('a bug in our status reader surfaces', async () => {
  const broken = { ...message({ logs: output(1) }), vertexes: [null] } as unknown as StatusResponse
  await expect(follow([broken]).heard()).rejects.toThrow(TypeError)
})

test('a solve that ends while its output is in transit loses nothing', async () => {
  async function* messages() {
    // The solve has ended before its first message arrives, and every message is late.
    for (const news of [
      { vertexes: [started], logs: output(1) },
      { logs: output(10) },
      {
        vertexes: [{ ...started, completed: { seconds: 2, nanos: 0 }, error: 'exit code: 1' }],
        logs: output(1),
      },
    ]) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      yield message(news)
    }
    await new Promise(() => {})
  }
  const { events, progress, lines, heard } = follow(messages())
  await heard(() => progress.hasEnded(digest))
  expect(lines()).toBe(12)
  expect(events.at(-1)).toMatchObject({ type: 'step', status: 'failed' })
})

test('a step that the status never names is not waited for without end', async () => {
  async function* messages() {
    yield message({})
    await new Promise(() => {})
  }
  const startedAt = performance.now()
  await follow(messages()).heard(() => false)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
}, 20_000)
