import { connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { DeploymentEvent } from '#api/event.ts'
import { everything } from '../../../../gateway/src/http/log/filter.ts'
import { logTypes, rendered, renderedChunk } from '../../../../gateway/src/http/log/formats.ts'
import { framesOf } from '../../../../gateway/src/http/log/websocket.ts'
import { startHttp, token } from '../start-http.ts'

const about = {
  id: 'd1',
  app: 'shop',
  createdAt: '2026-11-30T00:00:00.000Z',
  state: 'building',
} as const
const event: DeploymentEvent = {
  seq: 1,
  at: '2026-11-30T00:00:01.000Z',
  type: 'log',
  step: 's1',
  stream: 'stdout',
  text: 'line 1',
}

test('a page is encoded once for all readers of a format', () => {
  const page = [event]
  for (const type of logTypes)
    for (const encode of [rendered, renderedChunk]) {
      const bytes = encode(page, type, about, everything)
      expect(encode(page, type, { ...about }, everything)).toBe(bytes)
      expect(encode([event], type, about, everything)).not.toBe(bytes)
    }
  const frames = framesOf(page, everything)
  expect(framesOf(page, everything)).toBe(frames)
  expect(framesOf(page, { ...everything, key: 'none', keeps: () => false })).toHaveLength(0)
})

const upgrade =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'

test('the store is read as often for 40 readers as for one, and each gets an event in one write', async () => {
  await using http = await startHttp()
  await http.create()
  const { id, more } = await http.play([['analyzing'], ['building']])
  const answers = Array.from({ length: 40 }, (_, n) => {
    const line = connect(http.port, '127.0.0.1').on('error', () => {})
    onTestFinished(() => void line.destroy())
    const answer = { text: '' }
    line.on('data', (data) => (answer.text += data.toString('latin1')))
    line.write(
      `GET /v1/deployments/${id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${n % 2 ? upgrade : ''}\r\n`,
    )
    return answer
  })
  const all = (text: string) => expect.poll(() => answers.every((each) => each.text.includes(text)))
  const say = (text: string) => more({ type: 'log', step: null, stream: 'stdout', text })
  await say('first')
  await all('first').toBe(true)

  const reads = [vi.spyOn(http.store, 'eventsAfter'), vi.spyOn(http.store, 'find')]
  const before = answers.map(({ text }) => text.length)
  for (let n = 0; n < 5; n++) {
    await say(`second ${n}`)
    await all(`second ${n}`).toBe(true)
  }
  // For each event: the state and the events after it, then the same again, which finds no more.
  for (const read of reads) expect(read.mock.calls.length).toBeLessThanOrEqual(11)
  const grown = new Set(answers.map(({ text }, n) => `${n % 2} ${text.length - before[n]!}`))
  expect(grown.size).toBe(2) // one for each kind
})
