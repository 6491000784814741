import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { askFly } from '../../lab/use-lab.ts'
import { type CrashLab, startCrashLab } from './crash-lab.ts'
import { pageApp } from './start.ts'

let lab: CrashLab
beforeAll(async () => {
  lab = await startCrashLab({ TARMAC_OWNERS: 'app-per-owner' })
}, 120_000)
afterAll(() => lab[Symbol.asyncDispose]())

const toml =
  '[mounts]\nsource = "data"\ndestination = "/data"\n[http_service]\ninternal_port = 8080\n'

/** Another target gets the image of ada's release. */
async function fromAda(more: object): Promise<string> {
  const answer = await fetch(`${lab.gateway}/v1/apps/users/deployments`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ source: { app: 'users', owner: 'ada', release: 1 }, ...more }),
  })
  return ((await answer.json()) as Deployment).id
}

type Machine = { id: string; private_ip: string; image_ref: { digest: string } }
const machineOf = async (flyApp: string) => {
  const all = await askFly<Machine[]>(lab, 'GET', `/apps/${flyApp}/machines`)
  expect(all).toHaveLength(1)
  return all[0]!
}

async function run(flyApp: string, script: string): Promise<string> {
  const { id } = await machineOf(flyApp)
  const path = `/apps/${flyApp}/machines/${id}/exec`
  const body = { command: ['sh', '-c', script] }
  return (await askFly<{ stdout: string }>(lab, 'POST', path, body)).stdout.trim()
}

test('two owners run one image, each in a network of its own, and keep volume and variables over deployments and a kill', async () => {
  const files = { ...pageApp('first'), 'fly.toml': toml }
  const first = await lab.end(await lab.submit('users', files, 'owner=ada&env.FOR=ada'))
  expect(first.record).toMatchObject({ state: 'live', owner: 'ada', release: 1 })
  const ada = first.record.flyApp

  let id = ''
  await lab.dies('machine-done', async () => {
    id = await fromAda({ owner: 'bob', env: { FOR: 'bob' } })
    await lab.end(id)
  })
  await lab.start('gateway')
  const second = await lab.end(id)
  expect(second.record).toMatchObject({ state: 'live', owner: 'bob', release: 1 })
  const bob = second.record.flyApp
  const home = await lab.end(await fromAda({}))
  expect(home.record).toMatchObject({ state: 'live', owner: null, flyApp: 'users' })
  expect(new Set([ada, bob, 'users']).size).toBe(3)

  const machines = await Promise.all([ada, bob].map(machineOf))
  expect(machines.map((each) => each.image_ref.digest)).toEqual([
    first.record.image!.digest,
    first.record.image!.digest,
  ])
  expect(await Promise.all([ada, bob].map((each) => run(each, 'echo $FOR')))).toEqual([
    'ada',
    'bob',
  ])
  expect([await lab.page(ada), await lab.page(bob)]).toEqual(['first', 'first'])

  // Each reaches itself, and nothing of the others. The gateway's network reaches both by Flycast.
  const reach = (...hosts: string[]) =>
    hosts.map((host) => `wget -T 2 -qO- http://${host}/ || echo -`).join('; ')
  const others = (flyApp: string, { private_ip: ip }: Machine) =>
    reach(`${ip}:8080`, `${flyApp}.internal:8080`, `${flyApp}.flycast`)
  const shared = await machineOf('users')
  expect(await run(ada, reach(`${machines[0]!.private_ip}:8080`))).toBe('first')
  expect(await run(ada, others(bob, machines[1]!))).toBe('-\n-\n-')
  expect(await run(bob, others(ada, machines[0]!))).toBe('-\n-\n-')
  expect(await run(ada, others('users', shared))).toBe('-\n-\n-')
  expect(await run('users', reach(`${ada}.flycast`, `${bob}.flycast`))).toBe('firstfirst')

  await run(ada, 'echo kept > /data/note')
  const next = { ...pageApp('second'), 'fly.toml': toml }
  const third = await lab.end(await lab.submit('users', next, 'owner=ada&env.FOR=ada'))
  expect(third.record).toMatchObject({ state: 'live', release: 2, flyApp: ada })
  expect(await run(ada, 'cat /data/note')).toBe('kept')
  expect(await run(bob, 'ls /data/note || echo none')).toBe('none')
  expect([await lab.page(ada), await lab.page(bob)]).toEqual(['second', 'first'])
  await lab.sound(first.record.id, id, home.record.id, third.record.id)
}, 180_000)
