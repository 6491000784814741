import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_DRAIN: '60', TARMAC_MAX_BUILDS: '1' }),
  (fresh) => void (lab = fresh),
)

const slowApp = (text: string, seconds: number) =>
  pageApp(text, `RUN echo ${randomUUID()}; sleep ${seconds}`)
const sleeping = (event: DeploymentEvent) => event.type === 'step' && event.name.includes('sleep')

test('a gateway that gets a stop signal ends its work, accepts nothing new, and asks everybody to reconnect later', async () => {
  const running = await lab.submit('drain-running', slowApp('drained', 6))
  await lab.seen(running, sleeping)
  const waiting = await lab.submit('drain-waiting', pageApp('waited'))
  expect(await lab.seen(waiting, ({ type }) => type === 'waiting')).toMatchObject({
    for: 'builds',
    place: 1,
  })

  const followed = lab
    .ask(fill(routes.events, { id: running }), 'application/x-ndjson')
    .then((answer) => answer.text())
  const gateway = lab.gatewayProcess
  gateway.kill('SIGTERM')
  expect(JSON.parse((await followed).trim().split('\n').at(-1)!)).toMatchObject({
    type: 'stopping',
  })

  const refused = await lab.put('drain-late', 'follow=false', pageApp('late'))
  expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, '5'])
  expect(await refused.json()).toMatchObject({ code: 'stopping', retry: true })
  expect((await lab.ask(routes.ready)).status).toBe(503)
  expect((await lab.deployment(running)).state).toBe('building')

  await gateway.exited
  await lab.start('gateway')
  expect((await lab.end(running)).record).toMatchObject({ state: 'live', attempt: 1 })
  const { record, log } = await lab.end(waiting)
  expect(record).toMatchObject({ state: 'live', attempt: 1 })
  expect(log.filter(({ type }) => type === 'warning')).toEqual([])
  expect(await lab.page('drain-running')).toBe('drained')
})

test('a second signal ends it at once, and nothing is lost', async () => {
  const body = await lab.archive(await lab.source(slowApp('twice', 12)))
  const submit = async () => {
    const answer = await lab.put('drain-twice', 'follow=false', body, {
      'Idempotency-Key': 'twice',
    })
    return ((await answer.json()) as Deployment).id
  }
  const [id, again] = await Promise.all([submit(), submit()])
  expect(again).toBe(id)

  await lab.seen(id, sleeping)
  const gateway = lab.gatewayProcess
  gateway.kill('SIGTERM')
  await expect.poll(async () => (await lab.ask(routes.ready)).status, { timeout: 10_000 }).toBe(503)

  const at = performance.now()
  gateway.kill('SIGTERM')
  await gateway.exited
  expect(performance.now() - at).toBeLessThan(3000)

  await lab.start('gateway')
  expect(await submit()).toBe(id)
  expect((await lab.end(id)).record).toMatchObject({ state: 'live', attempt: 2 })
})
