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
  const empty = { pause: null, slots: none, teams: [], entries: [], isCut: false }
  expect(await queue()).toEqual(empty)

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

test('an operator pauses the queue, lets one go first, and resumes: all in the audit trail', async () => {
  await using server = await startHttp()
  const call = async (method: string, path: string) => {
    const answer = await fetch(server.url + path, { method, headers: authorization })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const options = DeploymentOptions.parse({})
  for (const app of ['shop', 'blog'])
    await server.store.create({ id: `of-${app}`, app, options, source: null })
  const paused = await call('POST', '/v1/queue/pause?why=moves')
  expect(paused).toMatchObject({ status: 200, body: { pause: { by: 'operator', why: 'moves' } } })
  expect(await server.store.claim()).toBeNull()

  expect((await call('POST', '/v1/deployments/of-blog/first')).body).toMatchObject({ app: 'blog' })
  const queue = (await call('GET', '/v1/queue')).body as Queue
  expect(queue.pause).toMatchObject({ why: 'moves' })
  expect(
    queue.entries.map(({ id, movedUp, waiting, startsAt }) => [id, movedUp, waiting, startsAt]),
  ).toEqual([
    ['of-shop', false, { for: 'paused', place: 2, behind: null }, null],
    ['of-blog', true, { for: 'paused', place: 1, behind: null }, null],
  ])
  const events = await server.store.eventsAfter('of-blog', 0, 9)
  expect(events).toContainEqual(
    expect.objectContaining({
      type: 'note',
      text: 'operator moved this to the front of the queue.',
    }),
  )

  expect((await call('DELETE', '/v1/queue/pause')).body).toEqual({ pause: null })
  expect((await server.store.claim())?.deployment.id).toBe('of-blog')
  expect(await call('POST', '/v1/deployments/of-blog/first')).toMatchObject({
    status: 409,
    body: { code: 'not-waiting', state: 'fetching' },
  })
  expect((await call('POST', '/v1/deployments/none/first')).status).toBe(404)
  const long = await call('POST', `/v1/queue/pause?why=${'x'.repeat(201)}`)
  expect(long).toMatchObject({ status: 422, body: { code: 'option-invalid', option: 'why' } })
  const { entries } = (await call('GET', '/v1/audit')).body as { entries: { command: string }[] }
  const commands = entries.map(({ command }) => command)
  expect(commands).toEqual(expect.arrayContaining(['queue.pause', 'queue.first', 'queue.resume']))
})

test('times are expected from the last deployments of the app, and teams have their shares', async () => {
  await using server = await startHttp()
  const options = DeploymentOptions.parse({})
  const create = (id: string, app: string) =>
    server.store.create({ id, app, options, source: null })
  const queue = async () => (await (await server.get('/v1/queue')).json()) as Queue
  await create('shop-1', 'shop')
  await server.play([
    ['analyzing'],
    ['building'],
    ['pushing'],
    ['deploying'],
    ['verifying'],
    ['live'],
  ])
  await create('shop-2', 'shop')
  await create('blog-1', 'blog')
  const before = await queue()
  const of = (found: Queue, id: string) => found.entries.find((each) => each.id === id)!
  expect(of(before, 'shop-2').startsAt).not.toBeNull()
  expect(Date.parse(of(before, 'shop-2').endsAt!)).toBeGreaterThanOrEqual(
    Date.parse(of(before, 'shop-2').startsAt!),
  )
  expect(of(before, 'blog-1').endsAt).toBeNull()
  expect(before.teams).toEqual([])

  await server.store.teams.create('web')
  await server.store.teams.moveApp('blog', 'web')
  await server.store.teams.setQuotas('web', { builds: 1 })
  expect((await queue()).teams).toEqual([
    { team: 'default', building: 0, atMachines: 0, waiting: 1, buildLimit: null },
    { team: 'web', building: 0, atMachines: 0, waiting: 1, buildLimit: 1 },
  ])
})
