import { expect, test } from 'vitest'
import type { Queue } from '../../../api/overview/queue.ts'
import { MadeToken } from '../../../api/callers/token.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import { authorization, startHttp } from '../http/start-http.ts'

test('the queue says what runs, and what each of the others waits for', async () => {
  await using server = await startHttp()
  const queue = async (headers = {}) =>
    (await (await server.get('/v1/queue', headers)).json()) as Queue
  let submitted = 0
  const submit = async (app: string, owner: string | null = null) => {
    const options = DeploymentOptions.parse({ owner })
    // Two of one millisecond are in the order of their ids, which grow in the product too.
    const id = `d${++submitted}`
    return (await server.store.create({ id, app, options, source: null })).id
  }
  const none = { builds: { limit: 2, used: 0 }, deploys: { limit: 2, used: 0 } }
  expect(await queue()).toEqual({ slots: none, entries: [], isCut: false })

  const runs = await submit('shop')
  await server.play([['analyzing'], ['building']])
  const behind = await submit('shop')
  const ofApp = await submit('shop', 'ada')
  const next = await submit('other')
  // After a look the positions rest for 20 times as long as it took.
  const states = async () =>
    (await queue()).entries.map(({ id, state, waiting }) => [id, state, waiting])
  await expect.poll(states).toEqual([
    [runs, 'building', null],
    [behind, 'pending', { for: 'lane', place: 1, behind: runs }],
    [ofApp, 'pending', { for: 'app', place: 1, behind: null }],
    [next, 'pending', null],
  ])
  expect((await queue()).slots).toMatchObject({ builds: { used: 1 }, deploys: { used: 0 } })

  const made = await fetch(`${server.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'ci', scopes: ['read'], apps: ['other'] }),
  })
  const { token } = MadeToken.parse(await made.json())
  const own = await queue({ Authorization: `Bearer ${token}` })
  expect(own.entries.map(({ id }) => id)).toEqual([next])
  expect(own.slots.builds).toEqual({ limit: 2, used: null })
})
