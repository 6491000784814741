import { expect, test } from 'vitest'
import { durationText } from '../../../../gateway/src/http/dashboard/parts/time.ts'
import { startHttp, toBuildFailed, toLive } from '../start-http.ts'

/** Pages as a caller with a token gets them: the API's header counts for pages too. */
type Server = Awaited<ReturnType<typeof startHttp>>
const pageOf = async (server: Server, path: string) => {
  const answer = await server.get(path)
  return { status: answer.status, text: await answer.text() }
}

test('a deployment that failed says why, whose fault it is and what to do, as the client does', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  await server.play(toBuildFailed)
  const { status, text } = await pageOf(server, `/ui/deployments/${id}`)
  expect(status).toBe(200)
  expect(text).toContain('<h2>The build failed</h2>')
  expect(text).toContain('npm ci ended with exit code 1.')
  expect(text).toContain('The sender can fix it: in the source, the options or the request.')
  expect(text).toContain(`The whole log: tarmac follow ${id}`)
  expect(text).toContain('data-over') // there is nothing to wait for
})

test('a deployment that goes on is followed after what the page shows', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  await server.play([['analyzing'], ['building']])
  const { text } = await pageOf(server, `/ui/deployments/${id}`)
  expect(text).toMatch(new RegExp(`data-log="/v1/deployments/${id}/events" data-seq="[34]"`))
  const refreshed = await server.get(`/ui/deployments/${id}`, { 'Tarmac-Refresh': '1' })
  expect(await refreshed.text()).not.toContain('id="log"')
})

test('a log that was deleted leaves its record to see', async () => {
  await using server = await startHttp()
  const { id } = await server.create()
  await server.play(toLive)
  await server.store.dropLogs({ perApp: 0, days: 0 }, new AbortController().signal)
  const { status, text } = await pageOf(server, `/ui/deployments/${id}`)
  expect([status, text]).toEqual([200, expect.stringContaining('was deleted at')])
})

test('home asks often while something runs, and seldom otherwise', async () => {
  await using server = await startHttp()
  const seconds = async () => /data-seconds="(\d+)"/.exec((await pageOf(server, '/ui')).text)?.[1]
  expect(await seconds()).toBe('30')
  await server.create()
  expect(await seconds()).toBe('3')
})

test('what does not exist is a page of its own, which says what and why', async () => {
  await using server = await startHttp()
  const missing = await pageOf(server, '/ui/deployments/none')
  expect(missing.status).toBe(404)
  expect(missing.text).toContain('<h1>There is no such deployment</h1>')
  expect(missing.text).toContain('/problems/deployment-not-found')
  expect((await pageOf(server, '/ui/nothing/here')).status).toBe(404)
  expect((await pageOf(server, '/ui/apps/No%20App')).status).toBe(422)
})

test('durations are short', () => {
  const ms = [0, 0.2, 87, 400, 9949, 12_000, 185_000, 7_800_000, 187_200_000]
  expect(ms.map((each) => durationText(each))).toEqual([
    '0 s',
    '1 ms',
    '87 ms',
    '0.4 s',
    '9.9 s',
    '12 s',
    '3 min 5 s',
    '2 h 10 min',
    '2 d 4 h',
  ])
})
