import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { flyctlAt, hasFlyctl } from '../flyctl.ts'
import { pushPage } from './perl-image.ts'

const token = 'fly-secret'
const ports = { apiPort: 9321, proxyPort: 9322, registryFrontPort: 9323, controlPort: 9324 }
const url = `http://127.0.0.1:${ports.apiPort}`

describe.skipIf(!hasFlyctl)('a real flyctl accepts localfly as Fly', { timeout: 300_000 }, () => {
  const open = new AsyncDisposableStack()
  let dir = ''
  let fly: ReturnType<typeof flyctlAt>
  const flyctl = (command: string) => fly.run(command)
  let image = ''

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'flyctl-lab-'))
    fly = flyctlAt(url, token)
    const registry = open.use(await startRegistry({ dir, port: 9320 })).address
    const local = open.use(await startLocalfly({ dir, name: 'flyctl', registry, token, ...ports }))
    await api('POST', '/apps', { name: 'images', org_slug: 'personal' })
    for (const page of ['one', 'two']) await pushPage(local.registry, token, 'images', page)
    image = `${local.registry}/images`
  })
  afterAll(async () => {
    await open.disposeAsync() // rejects when an answer broke Fly's schema
    await fly.end()
    rmSync(dir, { recursive: true, force: true })
  })

  test('machine run, list, status, stop, start, update, exec, destroy: the printed state is the real one', async () => {
    expect(await flyctl('apps create by-hand --org personal')).toContain('New app created: by-hand')
    await flyctl(
      `machine run ${image}:one -a by-hand --region ams --name web --port 80:8080/tcp:http`,
    )
    const [machine] = await machines('by-hand')
    expect(machine).toMatchObject({ name: 'web', state: 'started', region: 'ams' })

    const { id } = machine
    expect(await flyctl('machine list -a by-hand -q')).toContain(id)
    expect(await flyctl('machine list -a by-hand')).toMatch(
      new RegExp(`${id} .*web .*started .*ams .*images:one`),
    )
    expect(await flyctl(`machine status ${id} -a by-hand`)).toContain(machine.instance_id)
    expect(await page('by-hand')).toBe('one')
    expect(await flyctl(`machine exec ${id} -a by-hand /usr/bin/perl\\ -v`)).toContain(
      'This is perl',
    )

    await flyctl(`machine stop ${id} -a by-hand`)
    expect(await flyctl(`machine status ${id} -a by-hand`)).toContain('State: stopped')
    await flyctl(`machine start ${id} -a by-hand`)
    await api('GET', `/apps/by-hand/machines/${id}/wait?state=started`)
    await flyctl(`machine update ${id} -a by-hand --image ${image}:two -y`)
    expect((await machines('by-hand'))[0]).toMatchObject({ id, image_ref: { tag: 'two' } })
    expect(await page('by-hand')).toBe('two')
    expect(await flyctl(`machine destroy ${id} -a by-hand --force`)).toContain(
      `${id} has been destroyed`,
    )

    await api('GET', `/apps/by-hand/machines/${id}/wait?state=destroyed`)
    expect(await flyctl('machine list -a by-hand')).toContain('No machines are available')
    expect(await flyctl('apps destroy by-hand -y')).toContain('Destroyed app by-hand')
    expect(await flyctl('apps list')).not.toContain('by-hand')
  })

  test('deploy, status, secrets, releases, addresses, volumes and logs: the printed state is the real one', async () => {
    writeFileSync(join(fly.cwd, 'fly.toml'), flyToml)
    await flyctl('apps create deployed --org personal')
    const deploy = (tag: string) =>
      flyctl(`deploy --image ${image}:${tag} --ha=false --dns-checks=false -y`)
    expect(await deploy('one')).toContain('release_command')
    expect(await page('deployed')).toBe('one')

    const [first] = await machines('deployed')
    expect(await flyctl('status')).toMatch(
      new RegExp(`app .*${first.id} .*1 .*ams .*started .*1 total, 1 passing`),
    )
    expect(await flyctl('logs --no-tail')).toMatch(/migrated[^]*serves one/)
    expect(await flyctl('volumes list')).toMatch(
      new RegExp(`vol_\\w+ .*created .*data .*1GB .*ams .*${first.id}`),
    )

    await deploy('two')
    expect(await page('deployed')).toBe('two')
    expect(JSON.parse(await flyctl('status --json'))).toMatchObject({
      Version: 2,
      Machines: [{ id: first.id }],
    })

    await flyctl('secrets set WORD=hush --dns-checks=false')
    expect(await page('deployed', '/env/WORD')).toBe('hush')
    expect(await flyctl('secrets list')).toMatch(/WORD .*Deployed/)
    expect(await flyctl('releases')).toMatch(/v3 .*complete[^]*v2 .*complete[^]*v1 .*complete/)

    const { ips } = await api('GET', '/apps/deployed/ip_assignments')
    const output = await flyctl('ips list')
    for (const { ip } of ips) expect(output).toContain(ip)
    expect(ips).toHaveLength(2)
    expect(await flyctl('checks list')).toMatch(/servicecheck-00-http-8080 .*passing/)

    writeFileSync(join(fly.cwd, 'fly.toml'), flyToml.replace('exit 0', 'exit 7'))
    await expect(deploy('one')).rejects.toThrow('exited with non-zero status of 7')
    expect(await flyctl('releases')).toMatch(/v4 .*failed/)
    expect(await page('deployed')).toBe('two')

    // One of the two new machines takes the fork, the other one gets a new volume of the same kind.
    const [{ id: volume }] = await api('GET', '/apps/deployed/volumes')
    expect(await flyctl(`volumes fork ${volume}`)).toMatch(/Region: ams[^]*Size GB: 1/)
    expect(await flyctl('scale count 3 -y')).toMatch(/1 volumes and 1 unattached volumes/)
    const volumes: any[] = await api('GET', '/apps/deployed/volumes')
    const kind = { name: 'data', region: 'ams', size_gb: 1, encrypted: true }
    expect(volumes).toMatchObject([kind, kind, kind])
    expect(new Set(volumes.map((each) => each.attached_machine_id))).toEqual(
      new Set((await machines('deployed')).map((each: any) => each.id)),
    )
  })

  test('every command directly follows the previous one, on an app made by flyctl and on one deployed only by Tarmac', async () => {
    await flyctl('apps create quick --org personal')
    await flyctl(
      `machine run ${image}:one -a quick --region ams --name first --port 80:8080/tcp:http`,
    )
    const [{ id }] = await machines('quick')
    for (const command of ['stop', 'start', 'stop', 'start', 'status'])
      await flyctl(`machine ${command} ${id} -a quick`)
    expect(await flyctl('machine list -a quick')).toMatch(
      new RegExp(`${id} .*first .*start.*images:one`),
    )
    await flyctl(`machine update ${id} -a quick --image ${image}:two -y`)
    expect(await page('quick')).toBe('two')
    await flyctl(`machine destroy ${id} -a quick --force`)
    // Fly answers before the machine is gone.
    await expect
      .poll(() => flyctl('machine list -a quick'), { timeout: 30_000 })
      .toContain('No machines are available')

    writeFileSync(
      join(fly.cwd, 'fly.toml'),
      flyToml.replace('deployed', 'quick').replace(/\[mounts\][^[]*/, ''),
    )
    await flyctl(`deploy --image ${image}:one --ha=false --dns-checks=false -y`)
    const [deployed] = await machines('quick')
    expect(await flyctl('status')).toMatch(new RegExp(`${deployed.id} .*started .*1 passing`))
    expect(await flyctl('machine list')).toContain(deployed.id)
    expect(await flyctl('releases')).toMatch(/v1 .*complete/)

    const output = await flyctl('ips list')
    for (const { ip } of (await api('GET', '/apps/quick/ip_assignments')).ips)
      expect(output).toContain(ip)

    await flyctl('apps create like-tarmac --org personal')
    const metadata = { fly_platform_version: 'v2', fly_process_group: 'app' }
    const services = [
      { protocol: 'tcp', internal_port: 8080, ports: [{ port: 80, handlers: ['http'] }] },
    ]
    const config = { image: deployed.config.image, metadata, services }
    const made = await api('POST', '/apps/like-tarmac/machines', { region: 'ams', config })
    await api('GET', `/apps/like-tarmac/machines/${made.id}/wait?state=started`)
    for (const name of ['quick', 'like-tarmac']) {
      await flyctl(`secrets set WORD=hush -a ${name} --dns-checks=false`)
      expect(await page(name, '/env/WORD')).toBe('hush')
      await flyctl(`secrets unset WORD -a ${name} --dns-checks=false`)
      expect(await page(name, '/env/WORD')).toBe('')
      await flyctl(`secrets set WORD=staged -a ${name} --stage`)
      await flyctl(`secrets deploy -a ${name} --dns-checks=false`)
      expect(await page(name, '/env/WORD')).toBe('staged')
    }
    expect(await flyctl(`machine status ${made.id} -a like-tarmac`)).toContain('State: started')
    expect((await machines('quick')).map((machine) => machine.id)).toEqual([deployed.id])
  })

  test('bluegreen and canary, with two process groups, a second machine and a standby', async () => {
    const groups = `[processes]\n  web = ""\n  worker = "/usr/bin/perl /server.pl"\n`
    const toml = flyToml
      .replace(/\[deploy\][^]*(?=\[http_service\])/, groups)
      .replace('8080', '8080\n  processes = ["web"]')
    writeFileSync(join(fly.cwd, 'fly.toml'), toml.replace('deployed', 'grouped'))
    await flyctl('apps create grouped --org personal')
    const deploy = (tag: string, more: string) =>
      flyctl(`deploy --image ${image}:${tag} --dns-checks=false -y ${more}`)
    const facts = async () =>
      (await machines('grouped'))
        .map(({ state, image_ref, config }) =>
          [config.metadata.fly_process_group, image_ref.tag, state].join(' '),
        )
        .toSorted((a, b) => a.localeCompare(b))
    const allRun = (tag: string) =>
      expect
        .poll(facts, { timeout: 20_000 })
        .toEqual([
          `web ${tag} started`,
          `web ${tag} started`,
          `worker ${tag} started`,
          `worker ${tag} stopped`,
        ])
    await deploy('one', '')
    await allRun('one')
    const blue = new Set((await machines('grouped')).map(({ id }) => id))
    await deploy('two', '--strategy bluegreen')
    await allRun('two')
    expect(await page('grouped')).toBe('two')
    expect((await machines('grouped')).filter(({ id }) => blue.has(id))).toEqual([])
    expect(await deploy('one', '--strategy canary')).toContain('canary')
    await allRun('one')
    expect(await page('grouped')).toBe('one')
  })

  /** Waits as flyctl does, which uses up Fly's request limits. */
  const api = async (method: string, path: string, body?: unknown): Promise<any> => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'flyctl/test' }
    return (await fetch(`${url}/v1${path}`, { method, headers, ...sent })).json()
  }
  const machines = async (app: string): Promise<any[]> => api('GET', `/apps/${app}/machines`)
  const page = async (app: string, path = '/'): Promise<string> => {
    const headers = { host: `${app}.localhost:${ports.proxyPort}` }
    const call = request({ host: '127.0.0.1', port: ports.proxyPort, path, headers }).end()
    return text((await once(call, 'response'))[0])
  }
})

const flyToml = `app = "deployed"
primary_region = "ams"
[deploy]
  release_command = "/usr/bin/perl -e 'print qq(migrated\\\\n); exit 0'"
[mounts]
  source = "data"
  destination = "/data"
[http_service]
  internal_port = 8080
  [[http_service.checks]]
    interval = "2s"
    timeout = "1s"
    grace_period = "1s"
    path = "/health"
`
