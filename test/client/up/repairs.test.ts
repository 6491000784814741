import { describe, expect, test } from 'vitest'
import { destroyBuilder } from '../../../client/src/up/builder/destroy-builder.ts'
import { openFly } from '../../../client/src/up/fly-parts.ts'
import { readSize } from '../../../client/src/up/builder/sizes.ts'
import { image, startFly, type TestFly, token, up } from './start-fly.ts'

const app = 'tarmac-personal'
const one = ['tarmac-builder started fra']
const theMachine = (fly: TestFly) => fly.state.machinesOf(app)[0]!
const call = async (fly: TestFly, method: string, path: string, body?: object) => {
  const answer = await fetch(`${fly.env.FLY_FLAPS_BASE_URL}/v1${path}`, {
    method,
    headers: { authorization: 'Bearer fly-secret-token' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json().catch(() => null)) as Record<string, any>
}
const waitFor = (fly: TestFly, state: string, id = theMachine(fly).id) =>
  call(fly, 'GET', `/apps/${app}/machines/${id}/wait?state=${state}`)

const theIps = (fly: TestFly) =>
  fly.state.apps.get(app)!.ips.flatMap(({ ip }) => (ip.startsWith('fdaa:') ? [] : ip))

describe.concurrent('a builder that is there is repaired', { timeout: 200_000 }, () => {
  test('a stopped machine is started', async () => {
    await using fly = await startFly()
    const { builder } = await up(fly)
    await call(fly, 'POST', `/apps/${app}/machines/${builder.machineId}/stop`)
    const { notes } = await up(fly)
    expect(notes[0]).toBe(`machine ${builder.machineId}: stopped; starting`)
    expect(fly.inventory().machines).toEqual(one)
  })

  test('a command waits while another one has the lease of the machine, and says so', async () => {
    await using fly = await startFly()
    const { builder } = await up(fly)
    const lease = () =>
      call(fly, 'POST', `/apps/${app}/machines/${builder.machineId}/lease`, { ttl: 4 })
    await call(fly, 'POST', `/apps/${app}/machines/${builder.machineId}/stop`)
    await waitFor(fly, 'stopped')
    await lease()
    const { notes } = await up(fly)
    expect(notes[1]).toMatch(/^machine \w+: another command changes it; waits for .* until /)
    expect(fly.inventory().machines).toEqual(one)

    await lease()
    const said: string[] = []
    const open = {
      report: (text: string) => void said.push(text),
      signal: AbortSignal.timeout(60_000),
    }
    const which = { org: 'personal', app: null, network: null, deleteVolume: true }
    await destroyBuilder(openFly({ env: fly.env, token }, open), which)
    expect(said.join('\n')).toMatch(/another command changes it; waits for /)
    expect(fly.inventory().machines).toEqual([])
  })

  test('two runs at once: the second sees what the first has changed, and goes on', async () => {
    await using fly = await startFly()
    await up(fly)
    const changes = [{ TARMAC_LOG_LEVEL: 'debug' }, { TARMAC_WATCH: '5' }]
    await Promise.all(changes.map((env) => up(fly, { env })))
    expect(theMachine(fly).config.env).toMatchObject({
      TARMAC_LOG_LEVEL: 'debug',
      TARMAC_WATCH: '5',
    })
  })

  test('a wrong size, port or setting is put right in one update, and other settings stay', async () => {
    await using fly = await startFly()
    const { builder } = await up(fly)
    const machine = theMachine(fly)
    const config = structuredClone(machine.config)
    config.services![0]!.internal_port = 9999
    config.env = { ...config.env, TARMAC_LOG_LEVEL: 'debug' }
    await call(fly, 'POST', `/apps/${app}/machines/${machine.id}`, {
      config: { ...config, dns: { skip_registration: true } },
    })
    await waitFor(fly, 'started')

    const { notes } = await up(fly, { size: readSize('performance-2x') })
    expect(notes[0]).toBe(`machine ${builder.machineId}: updating size, port and service`)
    const now = theMachine(fly).config
    expect(now).toMatchObject({
      guest: { cpus: 2, memory_mb: 4096 },
      services: [{ internal_port: 8080 }],
      env: { TARMAC_LOG_LEVEL: 'debug', TARMAC_FLY_ORG: 'personal' },
      dns: { skip_registration: true },
      image,
    })
    expect((await up(fly)).notes).toHaveLength(1)
  })

  test('a public address is named, and stays', async () => {
    await using fly = await startFly()
    await up(fly)
    await call(fly, 'POST', `/apps/${app}/ip_assignments`, { type: 'v6' })
    const { notes } = await up(fly)
    const [ip] = theIps(fly)
    expect(notes[0]).toContain(`has public addresses (${ip})`)
    expect(notes[0]).toContain(`fly ips release ${ip} --app ${app}`)
    expect(theIps(fly)).toEqual([ip])
  })

  test('a volume without a machine gets one, with what the volume holds', async () => {
    await using fly = await startFly()
    await up(fly)
    const [volume] = fly.state.volumesOf(app)
    await call(fly, 'DELETE', `/apps/${app}/machines/${theMachine(fly).id}?force=true`)
    await up(fly, { region: null })
    expect(theMachine(fly).config.mounts).toMatchObject([{ volume: volume!.id, path: '/data' }])
    expect(fly.inventory()).toMatchObject({ machines: one, volumes: ['fra 50 GB'] })
  })

  test('of two machines the running one is kept, and both volumes', async () => {
    await using fly = await startFly()
    await up(fly)
    const { config } = theMachine(fly)
    const volume = await call(fly, 'POST', `/apps/${app}/volumes`, { name: 'data', region: 'fra' })
    const mounts = [{ volume: volume['id'], path: '/data' }]
    await call(fly, 'POST', `/apps/${app}/machines`, {
      name: 'second',
      region: 'fra',
      skip_launch: true,
      config: { ...config, mounts },
    })
    const { notes } = await up(fly)
    expect(notes[0]).toMatch(/^machine \w+: destroyed: a builder has one machine, /)
    expect(fly.inventory()).toMatchObject({ machines: one, volumes: ['fra 50 GB', 'fra 3 GB'] })
  })

  test('a machine that up did not make is never destroyed', async () => {
    await using fly = await startFly()
    await up(fly)
    await call(fly, 'POST', `/apps/${app}/machines`, { region: 'fra', config: { image } })
    await expect(up(fly)).rejects.toThrow(/tarmac up did not make \w+\. It destroys only its own/)
    expect(fly.state.machinesOf(app)).toHaveLength(2)
  })

  test('a machine that failed is made again on its volume', async () => {
    await using fly = await startFly()
    fly.be({ fault: 'never-starts', times: 1 })
    await expect(up(fly)).rejects.toThrow(/failed to start with the image/)
    const { notes } = await up(fly)
    expect(notes[0]).toMatch(/destroyed: it failed to start; its volume is kept/)
    expect(fly.inventory()).toMatchObject({ machines: one, volumes: ['fra 50 GB'] })
  })

  test('a new token of Fly reaches the gateway', async () => {
    await using fly = await startFly()
    await up(fly)
    const { notes } = await up(fly, { tokenMark: 'other' })
    expect(notes.slice(0, 2)).toEqual([
      'secrets TARMAC_FLY_TOKEN: set',
      `machine ${theMachine(fly).id}: updating Fly token, secrets`,
    ])
  })

  test('a lost host: nothing is done unasked; --replace makes a machine from the last snapshot', async () => {
    await using fly = await startFly()
    await up(fly)
    const [volume] = fly.state.volumesOf(app)
    await call(fly, 'POST', `/apps/${app}/volumes/${volume!.id}/snapshots`)
    fly.be({ fault: 'host-gone', machine: theMachine(fly).id })
    await expect(up(fly)).rejects.toThrow(/Fly does not reach the host .* tarmac up --replace/)
    await expect(up(fly)).rejects.toThrow(/Fly does not reach the host/)

    const { builder, notes } = await up(fly, { replace: true })
    expect(builder.machineId).not.toBe(theMachine(fly).id)
    expect(notes[0]).toMatch(/kept; a new one is made from its snapshot of 20/)
    expect(fly.inventory().volumes).toHaveLength(2)
  })
})

describe.concurrent('a new builder', { timeout: 200_000 }, () => {
  test('gets another name where its own is taken on Fly, and finds it again', async () => {
    await using fly = await startFly()
    await call(fly, 'POST', '/apps', { name: app, org_slug: 'elsewhere' })
    const { builder, notes } = await up(fly)
    expect(builder.appName).toMatch(/^tarmac-personal-[0-9a-f]{6}$/)
    expect(notes[0]).toBe(`the name ${app} is taken by another organisation on Fly`)
    expect((await up(fly)).builder).toEqual(builder)
    await expect(up(fly, { app })).rejects.toMatchObject({ code: 'app-name-taken' })
  })

  test('is one per network; the Flycast address is on that network', async () => {
    await using fly = await startFly()
    await up(fly)
    const { builder } = await up(fly, { network: 'vpn' })
    expect(builder.appName).toBe('tarmac-personal-vpn')
    expect(fly.state.apps.get(builder.appName)).toMatchObject({
      network: 'vpn',
      ips: [{ network: 'vpn' }],
    })
    await expect(up(fly, { app, network: 'vpn' })).rejects.toThrow(/is on the network default/)
  })

  test('is not made in an app of something else', async () => {
    await using fly = await startFly()
    await call(fly, 'POST', '/apps', { name: 'shop', org_slug: 'personal' })
    await call(fly, 'POST', '/apps/shop/secrets', { values: { STRIPE: 'x' } })
    await expect(up(fly, { app: 'shop' })).rejects.toThrow('The app shop is no builder')
  })

  test('takes the next smaller size, and then the next region, where Fly has no room', async () => {
    await using fly = await startFly()
    fly.be({ fault: 'refused', refusal: 'no-capacity', times: 5 })
    const { notes } = await up(fly, { region: null })
    expect(notes.filter((note) => note.startsWith('no room'))).toHaveLength(5)
    expect(fly.inventory()).toMatchObject({
      volumes: ['lhr 50 GB'],
      machines: ['tarmac-builder started lhr'],
    })
    expect(theMachine(fly).config.guest).toMatchObject({ cpu_kind: 'performance', cpus: 2 })
  })

  test('stays in a region, and at a size, that the user named', async () => {
    await using fly = await startFly()
    fly.be({ fault: 'refused', refusal: 'no-volume-room' })
    const named = { region: 'fra', size: readSize('shared-cpu-8x:8gb') }
    await expect(up(fly, named)).rejects.toThrow(/Fly has no room for the builder in fra/)
    fly.be()
    await up(fly, named)
    expect(theMachine(fly).config.guest).toEqual({ cpu_kind: 'shared', cpus: 8, memory_mb: 8192 })
  })

  test('goes where most machines of the organisation run, and says what a far region costs', async () => {
    await using fly = await startFly()
    await call(fly, 'POST', '/apps', { name: 'shop', org_slug: 'personal' })
    for (const region of ['syd', 'syd', 'fra'])
      await call(fly, 'POST', '/apps/shop/machines', { region, config: { image } })
    const { notes } = await up(fly, { region: null })
    expect(notes[0]).toBe('region syd: most machines of personal run there (2)')
    const far = await up(fly, { app: 'far', region: 'iad' })
    expect(far.notes[0]).toMatch(/the builder is in iad, about 15669 km away\..* at least 157 ms/)
  })

  test('whose gateway is not ready or crashes shows why, with its last lines', async () => {
    await using fly = await startFly()
    fly.containers.programs.set('tarmac', 'crashes')
    await expect(up(fly)).rejects.toThrow(/ended by itself with exit code 1\. Its last lines:\n/)
  })
})

test('lost and broken answers make nothing twice', async () => {
  await using fly = await startFly()
  for (const fault of ['cut', 'error-after', 'cut-midway', 'error-before', 'edge'] as const) {
    fly.be({ fault, on: '^POST /apps', times: 2 })
    await up(fly, { app: `b-${fault}` })
    expect(fly.state.volumesOf(`b-${fault}`)).toHaveLength(1)
    expect(fly.state.machinesOf(`b-${fault}`)).toHaveLength(1)
  }
  expect(fly.state.apps.size).toBe(5)
}, 200_000)
