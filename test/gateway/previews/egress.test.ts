import { expect, test } from 'vitest'
import type { Preview } from '../../../api/previews/preview.ts'
import type { Template } from '../../../api/previews/template.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import type { Fault } from '../../fakes/machines-api.ts'
import { startMachines } from '../start-machines.ts'

/** A gateway with a template of this egress, and what asks for a preview of it. */
async function startWith(egress: string[] | null) {
  const gateway = await startMachines()
  const { images, call } = gateway
  const config = '[http_service]\ninternal_port = 8080\n'
  const set = (ports: string[] | null) =>
    call<Template>('PUT', '/v1/apps/shop/templates/small', { config, egress: ports })
  expect((await set(egress)).body).toMatchObject({ version: 1 })
  const source = { image: images.put('shop', 'v1').name }
  const asked = { app: 'shop', owner: 'alice', source, template: 'small' }
  const make = () => call<Preview & ProblemBody>('POST', '/v1/previews?wait=true', asked)
  return { gateway, set, make }
}

const policy = (...ports: object[]) => ({
  name: 'tarmac-egress',
  selector: { all: true },
  rules: [{ action: 'allow', direction: 'egress', ports }],
})
const https = { protocol: 'tcp', port: 443 }
const dns = { protocol: 'udp', port: 53 }

test('a preview’s app has the policy of its template before it has a machine, and the log says so', async () => {
  const { gateway, set, make } = await startWith(['443/tcp', '53/udp', '443/tcp'])
  await using opened = gateway
  const { fly, log } = opened
  const first = await make()
  expect(first).toMatchObject({ status: 201, body: { state: 'ready' } })
  const { flyApp, deployment } = first.body
  expect(fly.apps.get(flyApp)?.policies).toMatchObject([policy(dns, https)])
  expect(await log(deployment)).toContain('Its machines may reach 53/udp, 443/tcp')
  const order = (what: string) =>
    fly.calls.findIndex((call) => call === `POST /apps/${flyApp}${what}`)
  expect(order('/network_policies')).toBeGreaterThan(0)
  expect(order('/machines')).toBeGreaterThan(order('/network_policies'))

  // What a version allows is part of it.
  expect((await set(['53/udp', '443/tcp'])).body.version).toBe(1)
  expect((await set([])).body).toMatchObject({ version: 2, egress: [] })
  const closed = await make()
  expect(fly.apps.get(closed.body.flyApp)?.policies).toMatchObject([policy()])
  expect(await log(closed.body.deployment)).toContain('Its machines may reach nothing')
  expect((await set(null)).body).toMatchObject({ version: 3, egress: null })
  const free = await make()
  expect(fly.apps.get(free.body.flyApp)?.policies).toBe(undefined)
})

test.each(['refused', 'emptied'] as const)(
  'a preview gets no machine where its policy is %s by Fly',
  { timeout: 30_000 },
  async (flaw) => {
    const { gateway, make } = await startWith(['443/tcp'])
    await using opened = gateway
    opened.fly.policyFlaw = flaw
    expect(await make()).toMatchObject({ status: 502, body: { code: 'fly-refused' } })
    expect(opened.fly.calls.filter((call) => /^POST .*\/machines$/.test(call))).toEqual([])
  },
)

test.each<[Fault, string]>([
  ['unseen', 'POST'],
  ['unseen', 'GET'],
  ['before', 'POST'],
  ['after', 'POST'],
  ['lost', 'POST'],
])('one policy is made where a call has the fault %s (%s)', async (fault, method) => {
  const { gateway, make } = await startWith(['443/tcp'])
  await using opened = gateway
  opened.fly.faults.push({ on: new RegExp(`${method} .*/network_policies`), fault })
  const made = await make()
  expect(made).toMatchObject({ status: 201, body: { state: 'ready' } })
  expect(opened.fly.faults).toEqual([])
  expect(opened.fly.apps.get(made.body.flyApp)?.policies).toMatchObject([policy(https)])
})

test('a policy of others that allows more is no isolation', async () => {
  const { gateway, make } = await startWith([])
  await using opened = gateway
  const { fly } = opened
  const set = fly.apps.set.bind(fly.apps)
  fly.apps.set = (name, app) => {
    app.policies = [{ ...policy(https), id: 'theirs', name: 'theirs' }]
    return set(name, app)
  }
  expect(await make()).toMatchObject({ status: 502, body: { code: 'fly-refused' } })
})

test.each([['443'], ['0/tcp'], ['65536/udp'], ['443/icmp'], ['01/tcp']])(
  'the port %j is refused',
  async (port) => {
    await using gateway = await startMachines()
    const body = { config: '[env]\n', egress: [port] }
    const answer = await gateway.call('PUT', '/v1/apps/shop/templates/small', body)
    expect(answer).toMatchObject({ status: 422, body: { code: 'option-invalid' } })
  },
)
