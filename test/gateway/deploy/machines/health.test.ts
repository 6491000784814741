import { expect, test as each } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { waitForVersion } from '../../../../gateway/src/deploy/machines/health.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { FakeFly, type Fault } from '../../../fakes/machines-api.ts'
import { deployed, digest, refused } from '../deployed.ts'

const test = each.concurrent
const http = '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n'
const unseen = (method: string, path: string, times: number): { on: RegExp; fault: Fault }[] =>
  Array.from({ length: times }, () => ({
    on: new RegExp(`^${method} /apps/web/machines/\\w+${path}$`),
    fault: 'unseen',
  }))

test('a machine that is invisible for a moment does not fail a good release', async () => {
  await using fly = await FakeFly.start()
  fly.faults.push(...unseen('GET', '', 3))
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  fly.faults.push(...unseen('GET', '', 3))
  await deployed(fly, { number: 2, flyToml: http, watchMs: 0 })
  expect(fly.machines('web')).toMatchObject([{ made: 2, image_ref: { digest: digest(2) } }])
})

test('a machine counts as removed only when the list of machines lacks it too', async () => {
  for (const missed of [
    unseen('GET', '', 30),
    [...unseen('DELETE', '', 1), ...unseen('GET', '/wait', 1)],
  ]) {
    await using fly = await FakeFly.start()
    fly.natures.set(digest(1), 'crashes')
    const emit = (event: NewEvent) => {
      if (event.type === 'machine' && event.status === 'rolling_back') fly.faults.push(...missed)
    }
    const problem = await refused(deployed(fly, { number: 1, flyToml: http, emit }))
    expect(problem).toMatchObject({
      code: 'deploy-failed',
      facts: { machines: [{ outcome: 'removed' }] },
    })
    expect(fly.machines('web')).toEqual([])
  }
})

test('a canary that crashes between its checks and its stop ends the deploy', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  const emit = (event: NewEvent) => {
    if (event.type !== 'machine' || event.status !== 'cordoned') return
    const crash = { type: 'exit', status: 'stopped', request: { exit_event: { exit_code: 7 } } }
    const canary = fly.machines('web').find(({ id }) => id === event.machine)
    canary?.events?.unshift({ ...crash, timestamp: Date.now() })
  }
  const problem = await refused(
    deployed(fly, { number: 2, flyToml: http, options: { strategy: 'canary' }, emit }),
  )
  expect(problem.message).toContain('crashed: its process ended by itself with exit code 7')
  expect(fly.machines('web')).toMatchObject([{ made: 1, image_ref: { digest: digest(1) } }])
})

test('a failing check gives no advice about the listen address while a program listens there', async () => {
  for (const output of [
    'HTTP GET http://10.0.0.2:8080/: 404 Not Found',
    'connect: connection refused',
  ]) {
    await using fly = await FakeFly.start()
    fly.natures.set(digest(1), 'check-fails')
    fly.checkOutput = output
    const problem = await refused(deployed(fly, { number: 1, flyToml: http, waitMs: 300 }))
    expect(problem.message).toContain(output)
    expect(problem.message).not.toContain('must listen')
  }
})

test('a machine that Fly returned to a crash-looping version is detected in time', async () => {
  await using fly = await FakeFly.start()
  await using api = new MachinesApi({ baseUrl: fly.url, token: 'secret' })
  await deployed(fly, { number: 1 })
  const [machine] = fly.machines('web')
  machine!.state = 'restarting'
  const wanted = {
    machine: api.withoutLease({ app: 'web', id: machine!.id }),
    instanceId: '01WANTED',
    digest: null,
    running: true,
  }
  const settled = waitForVersion(api, wanted, 60_000, AbortSignal.timeout(15_000))
  await expect(settled).rejects.toMatchObject({ facts: { reverted: true } })
}, 20_000)
