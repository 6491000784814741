import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { flyctlAt, hasFlyctl } from '../flyctl.ts'
import { deployed, type Asked } from '../gateway/deploy/deployed.ts'
import { recordedFlyctl } from '../recorded-flyctl.ts'
import { pushPage } from './perl-image.ts'

const token = 'secret-fly'
const ports = { apiPort: 9421, proxyPort: 9422, registryFrontPort: 9423, controlPort: 9424 }
const url = `http://127.0.0.1:${ports.apiPort}`
const open = new AsyncDisposableStack()
const dir = mkdtempSync(join(tmpdir(), 'fly-releases-'))
let local: Awaited<ReturnType<typeof startLocalfly>>
const images: Record<string, string> = {}

beforeAll(async () => {
  const registry = open.use(await startRegistry({ dir, port: 9420 })).address
  local = open.use(await startLocalfly({ dir, name: 'releases', registry, token, ...ports }))
  await api('POST', '/v1/apps', { name: 'images', org_slug: 'personal' })
  for (const page of ['one', 'two', 'three', 'four'])
    images[page] = await pushPage(local.registry, token, 'images', page)
})
afterAll(async () => {
  await open.disposeAsync() // rejects when an answer broke Fly's schema
  rmSync(dir, { recursive: true, force: true })
})

const real = hasFlyctl ? flyctlAt(url, token) : null
const runners = [
  { name: 'recorded', flyctl: recordedFlyctl(url, token) },
  ...(real ? [{ name: 'real', flyctl: real }] : []),
]
const toml = (word: string, more = '') =>
  `primary_region = "ams"\n[env]\nWORD = "${word}"\n[http_service]\ninternal_port = 8080\n${more}`

const tarmac = async (app: string, number: number, page: string, more: Asked = {}) => {
  const texts: string[] = []
  await deployed(
    { url },
    {
      app,
      token,
      number,
      image: images[page]!,
      flyToml: toml(page),
      env: { ASKED: page },
      releaseWaitMs: 20_000,
      watchMs: 300,
      waitMs: 20_000,
      emit: (event) => void ('text' in event && event.text && texts.push(event.text)),
      ...more,
    },
  )
  return texts
}

describe.each(runners)('a $name flyctl knows what Tarmac has deployed', ({ name, flyctl }) => {
  const run = (command: string) => flyctl.run(command)
  const turns = `turns-${name}`
  const alone = `alone-${name}`

  test('when both take turns: config show, status, releases and secrets list are up to date', async () => {
    await tarmac(turns, 1, 'one')
    await run(
      `deploy --image ${local.registry}/images:two --ha=false --dns-checks=false -y -a ${turns}`,
    )
    await api('POST', `/v1/apps/${turns}/secrets`, { values: { HUSH: 'a' } })
    expect(await run(`secrets list -a ${turns}`)).toMatch(/HUSH .*Staged/)
    const [before] = await machines(turns)

    const texts = await tarmac(turns, 2, 'three')
    expect(texts).toContain('Fly knows this deployment as release v3.')
    expect(await page(turns)).toBe('three')
    expect(await page(turns, '/env/HUSH')).toBe('a')
    expect(JSON.parse(await run(`config show -a ${turns}`))).toMatchObject({
      app: turns,
      env: { WORD: 'three', ASKED: 'three', PORT: '8080' },
    })
    expect(JSON.parse(await run(`status --json -a ${turns}`))).toMatchObject({
      Version: 3,
      Machines: [{ id: before.id }],
    })
    expect(await run(`releases -a ${turns}`)).toMatch(
      /v3 .*complete[^]*v2 .*complete[^]*v1 .*complete/,
    )
    expect(await run(`secrets list -a ${turns}`)).toMatch(/HUSH .*Deployed/)
  })

  test('scale count 0 and then 1 starts what ran before', async () => {
    await run(`scale count 0 -y -a ${turns}`)
    await gone(turns)
    await run(`scale count 1 -y -a ${turns}`)
    await started(turns)
    expect(await page(turns)).toBe('three')
    for (const [key, value] of [
      ['WORD', 'three'],
      ['ASKED', 'three'],
      ['PORT', '8080'],
    ])
      expect(await page(turns, `/env/${key}`)).toBe(value)
  })

  test('deploy --image without a file keeps the variables', async () => {
    await run(
      `deploy --image ${local.registry}/images:one --ha=false --dns-checks=false -y -a ${turns}`,
    )
    await started(turns)
    expect(await page(turns)).toBe('one')
    expect(await page(turns, '/env/ASKED')).toBe('three')
    expect(await run(`releases -a ${turns}`)).toMatch(/v4 .*complete/)
  })

  test('scale count works on an app that only Tarmac has deployed, with the hardware that it has', async () => {
    await tarmac(alone, 1, 'one', { flyToml: toml('one', '[[vm]]\nmemory = "512mb"\n') })
    await run(`scale count 2 -y -a ${alone}`)
    await run(`scale count 0 -y -a ${alone}`)
    await gone(alone)
    await run(`scale count 1 -y -a ${alone}`)
    await started(alone)
    expect(await page(alone)).toBe('one')
    expect((await machines(alone))[0]).toMatchObject({ config: { guest: { memory_mb: 512 } } })

    // The gateway goes on with what flyctl has made.
    await tarmac(alone, 2, 'two')
    expect(await page(alone)).toBe('two')
    expect(await machines(alone)).toHaveLength(1)
  })

  test('after a failed deployment, scale count starts the release that ran before it', async () => {
    const check = '[[http_service.checks]]\npath = "/env/NO"\ninterval = "2s"\ntimeout = "1s"\n'
    const fails = { flyToml: toml('bad', check.replace('/env/NO', '/exit/3')), waitMs: 4000 }
    await expect(tarmac(alone, 3, 'three', fails)).rejects.toThrow()
    expect(await run(`releases -a ${alone}`)).toMatch(/complete[^]*failed[^]*complete/)
    await run(`scale count 0 -y -a ${alone}`)
    await gone(alone)
    await run(`scale count 1 -y -a ${alone}`)
    await started(alone)
    expect(await page(alone)).toBe('two')
  })
})

test('without the right to register, a deployment is live, earlier marks go, and one warning says so', async () => {
  await tarmac('denied', 1, 'one')
  const marks = async () => Object.keys((await machines('denied'))[0].config.metadata)
  expect(await marks()).toContain('fly_release_id')
  await local.fly.hostile({ faults: [{ fault: 'denied', on: '^POST /releases$' }] })
  const texts = await tarmac('denied', 2, 'two')
  await local.fly.calm()
  expect(await page('denied')).toBe('two')
  expect((await marks()).filter((key) => key.startsWith('fly_release'))).toEqual([])
  const warnings = texts.filter((each) => each.startsWith('Fly has not registered'))
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toContain("Fly refused the gateway's token")
  await expect(recordedFlyctl(url, token).run('scale count 2 -a nobody')).rejects.toThrow()
})

test('a slow Fly delays no deployment; the marks follow without a new version', async () => {
  await using opening = new AsyncDisposableStack()
  await local.fly.hostile({ faults: [{ fault: 'slow', ms: 4000, on: '^POST /releases$' }] })
  const texts = await tarmac('slow', 1, 'one', { opening })
  await local.fly.calm()
  expect(texts.filter((each) => each.startsWith('Fly has not answered yet'))).toHaveLength(1)
  const [machine] = await machines('slow')
  expect(machine.config.metadata).not.toHaveProperty('fly_release_id')
  const version = async () => {
    const [{ instance_id, config }] = await machines('slow')
    return [instance_id, config.metadata.fly_release_version]
  }
  await expect.poll(version, { timeout: 15_000, interval: 500 }).toEqual([machine.instance_id, '1'])
  const complete = () => recordedFlyctl(url, token).run('releases -a slow')
  await expect.poll(complete).toBe('v1 │ complete')
})

/** Waits as flyctl does, which uses up Fly's request limits. */
async function api(method: string, path: string, body?: object): Promise<any> {
  const headers = { authorization: `Bearer ${token}`, 'user-agent': 'flyctl/test' }
  const sent = body && { body: JSON.stringify(body) }
  return (await fetch(url + path, { method, headers, ...sent })).json()
}
const machines = async (app: string): Promise<any[]> => api('GET', `/v1/apps/${app}/machines`)
async function started(app: string): Promise<void> {
  const states = async () => (await machines(app)).map(({ state }) => state)
  await expect.poll(states, { timeout: 20_000 }).toEqual(['started'])
}
const gone = (app: string) => expect.poll(() => machines(app), { timeout: 20_000 }).toEqual([])
async function page(app: string, path = '/'): Promise<string> {
  const headers = { host: `${app}.localhost:${ports.proxyPort}` }
  const call = request({ host: '127.0.0.1', port: ports.proxyPort, path, headers }).end()
  return text((await once(call, 'response'))[0])
}
