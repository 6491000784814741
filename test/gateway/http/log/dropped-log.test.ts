import { once } from 'node:events'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { authorization, startHttp, toLive } from '../start-http.ts'

test('a reader of a dropped log gets that reason in every format, and the record is still there', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  await http.play(toLive)
  await http.create()
  await http.store.dropLogs({ perApp: 1, days: 1 }, new AbortController().signal)
  for (const accept of ['text/event-stream', 'text/plain']) {
    const answer = await http.get(`/v1/deployments/${id}/events`, { accept })
    expect(answer.status).toBe(410)
    expect(await answer.json()).toMatchObject({
      code: 'log-dropped',
      logDroppedAt: expect.stringContaining('T'),
    })
  }
  const socket = new WebSocket(`${http.url.replace('http', 'ws')}/v1/deployments/${id}/events`, {
    headers: authorization,
  })
  expect(await once(socket, 'error')).toMatchObject([
    { message: 'Unexpected server response: 410' },
  ])
  expect(await (await http.get(`/v1/deployments/${id}`)).json()).toMatchObject({
    id,
    state: 'live',
  })
})
