import { expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { hostileTexts, obeyed } from '../../hostile-text.ts'
import { authorization, startHttp } from './start-http.ts'

const events: NewEvent[] = hostileTexts.flatMap((text) => [
  { type: 'step', step: 's', name: text, status: 'failed', ms: 1, error: text },
  { type: 'log', step: 's', stream: 'stdout', text: `${text}\n${text}` },
  { type: 'warning', text },
  { type: 'note', text },
])

test('nothing that a build prints acts on the one who reads it, in any form that the gateway gives', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const all = hostileTexts.join(' ')
  const problem = new Problem('build-failed', hostileTexts.join('\n'), {
    facts: { lastLines: hostileTexts },
  }).body()
  await http.play([['analyzing'], ['building'], ...events, ['build_failed', { problem }]])
  const path = `/v1/deployments/${id}`
  for (const Accept of ['text/event-stream', 'application/x-ndjson', 'text/plain']) {
    const answer = await (await http.get(`${path}/events`, { Accept })).text()
    expect(answer.length).toBeGreaterThan(all.length)
    expect(obeyed(answer), Accept).toEqual([])
  }
  for (const text of [`${path}/log`, path, '/v1/apps/shop/deployments']) {
    const answer = await (await http.get(text)).text()
    expect(answer.length).toBeGreaterThan(all.length)
    expect(obeyed(answer), text).toEqual([])
  }
  expect(await (await http.get(path)).json()).toMatchObject({ problem })
})

test('the words of a caller in a refusal contain no control characters either', async () => {
  await using http = await startHttp()
  for (const text of hostileTexts) {
    const query = encodeURIComponent(text)
    for (const address of [
      `/deploy/shop?${query}=1`,
      `/deploy/shop?region=${query}`,
      `/deploy/${query}`,
    ]) {
      const answer = await fetch(`${http.url}${address}`, {
        method: 'PUT',
        body: 'x',
        headers: authorization,
      })
      expect(obeyed(await answer.text()), address).toEqual([])
    }
  }
  expect(obeyed(http.logged.join(''))).toEqual([])
})

test('the operator’s log contains none either, and keeps its values', () => {
  const lines: string[] = []
  const log = openLog('info', { write: (line) => void lines.push(line) })
  for (const text of hostileTexts) log.info({ text, err: new Error(text) }, 'a build failed')
  expect(obeyed(lines.join(''))).toEqual([])
  expect(lines.map((line) => (JSON.parse(line) as { text: string }).text)).toEqual(hostileTexts)
})
