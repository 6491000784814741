import { afterEach, beforeEach, expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { DeploymentOptions } from '#api/options.ts'
import { desiredApp, forOwner } from '../../../../gateway/src/deploy/config/desired.ts'
import { Deployer } from '../../../../gateway/src/deploy/deployer.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { FakeFly } from '../../../fakes/machines-api.ts'
import { deployed, refused } from '../deployed.ts'

let fake: FakeFly
beforeEach(async () => void (fake = await FakeFly.start()))
afterEach(() => fake[Symbol.asyncDispose]())

const mount = '[mounts]\nsource = "data"\ndestination = "/data"\n'
const inRegion = (region: string, more = mount) => `primary_region = "${region}"\n${more}`

/** What the gateway does before a build. */
async function preflight(flyToml: string, given: Partial<DeploymentOptions> = {}, region = 'fra') {
  await using fly = new MachinesApi({ baseUrl: fake.url, token: 'secret' })
  const settings = { org: 'personal', network: null, builder: null, urlTemplate: '' }
  const deployer = new Deployer({ fly, ...settings, watchMs: 0, proxyMs: 0, waitMs: 0 })
  const options = DeploymentOptions.parse(given)
  const app = { app: 'web', flyToml, options, defaults: { region } }
  const desired = forOwner(desiredApp(app), options)
  const signal = AbortSignal.timeout(20_000)
  const job = { id: 'd9', number: 9, app: 'web', recordedApp: 'web' }
  await deployer.preflight({ ...job, options, desired, signal })
}

/** Leaves the volume of the only machine without a holder. */
async function freeVolume(): Promise<string> {
  await deployed(fake, { flyToml: inRegion('fra') })
  const app = fake.apps.get('web')!
  app.machines.clear()
  const [volume] = app.volumes
  delete volume!.attached_machine_id
  return volume!.id
}

test('data in a free volume of another region stays: the deployment is refused with id, region and the ways on', async () => {
  const id = await freeVolume()
  const problem = await refused(preflight(inRegion('iad')))
  expect(problem).toMatchObject({
    code: 'fly-config-invalid',
    facts: { key: 'mounts', volume: id, region: 'fra', machine: null },
  })
  expect(problem.message).toContain(
    `Volume ${id} of that name is in region fra, held by no machine`,
  )
  expect(problem.message).toContain(`fly volumes fork ${id} --region iad --app web`)
  expect(problem.message).toContain('new-volumes=true')

  // Also where nothing is built: a release, or an image.
  const later = await refused(deployed(fake, { number: 2, flyToml: inRegion('iad') }))
  expect(later.code).toBe('fly-config-invalid')
  expect(fake.apps.get('web')!.volumes).toHaveLength(1)
})

test('new-volumes makes a new volume on purpose, and a free one in the region is used without it', async () => {
  await freeVolume()
  await preflight(inRegion('iad'), { 'new-volumes': true })
  await preflight(inRegion('fra'))
  await deployed(fake, { number: 2, flyToml: inRegion('iad'), options: { 'new-volumes': true } })
  expect(fake.apps.get('web')!.volumes.map(({ region }) => region)).toEqual(['fra', 'iad'])
})

test('of two new machines only one takes a free volume; the other is refused while data is elsewhere', async () => {
  await freeVolume()
  await preflight(inRegion('fra'), { count: 2 })
  const volumes = fake.apps.get('web')!.volumes
  volumes.push({ ...volumes[0]!, id: 'vol_far', region: 'iad' })
  const problem = await refused(preflight(inRegion('fra'), { count: 2 }))
  expect(problem.facts).toMatchObject({ key: 'mounts', volume: 'vol_far', region: 'iad' })
  await preflight(inRegion('fra'), { count: 1 })
})

test('a volume that is being destroyed is neither used nor a reason', async () => {
  await freeVolume()
  const [volume] = fake.apps.get('web')!.volumes
  volume!.state = 'pending_destroy'
  await preflight(inRegion('iad'))
  await deployed(fake, { number: 2, flyToml: inRegion('fra') })
  expect(fake.apps.get('web')!.volumes).toHaveLength(2)
})

test('a volume that another group of the target holds is a reason; the way on depends on that group', async () => {
  await deployed(fake, { flyToml: `[processes]\napp = "a"\n${mount}` })
  const [machine] = fake.machines('web')
  const [volume] = fake.apps.get('web')!.volumes

  const renamed = await refused(preflight(`[processes]\nweb = "a"\n${mount}`))
  expect(renamed.facts).toMatchObject({ volume: volume!.id, region: 'fra', machine: machine!.id })
  expect(renamed.message).toContain(`held by machine ${machine!.id} of group app`)
  expect(renamed.message).toContain(`fly machine destroy ${machine!.id} --app web`)
  expect(renamed.message).not.toContain('--force')

  const both = `[processes]\napp = "a"\nweb = "a"\n${mount}processes = ["app", "web"]\n`
  const second = await refused(preflight(both))
  expect(second.message).toContain('give the mount of group web another source')
  await preflight(both, { 'new-volumes': true })
})

test('volumes of other owners, and of machines of the same group, are no reason', async () => {
  await deployed(fake, { flyToml: mount })
  await preflight(mount)
  await preflight(mount, { owner: 'alice' })
  const alice = { owner: 'alice', region: 'iad' }
  await preflight(mount, alice)
})

test('a mount for a machine without a volume is refused before the build, unless one is free', async () => {
  await deployed(fake, { flyToml: '[http_service]\ninternal_port = 8080' })
  const [machine] = fake.machines('web')
  const problem = await refused(preflight(mount))
  expect(problem.code).toBe('fly-config-invalid')
  expect(problem.facts).toMatchObject({ key: 'mounts', machine: machine!.id, region: 'fra' })
  fake.apps.get('web')!.volumes.push({ id: 'vol_1', name: 'data', region: 'fra' })
  await preflight(mount)
})

test('another name for the volume of a machine is refused, and no force is advised', async () => {
  await deployed(fake, { flyToml: mount })
  const problem = await refused(preflight(mount.replace('"data"', '"other"')))
  expect(problem.message).toContain('has volume')
  expect(problem.message).not.toContain('--force')
})

test('a mount without a name is that of the machine; a new machine needs the name', async () => {
  const unnamed = '[mounts]\ndestination = "/data"\n'
  expect((await refused(preflight(unnamed))).message).toContain('has no source')
  await deployed(fake, { flyToml: mount })
  await preflight(unnamed)
  await deployed(fake, { number: 2, flyToml: unnamed })
  expect(fake.machines('web')[0]!.config.mounts).toMatchObject([{ name: 'data', path: '/data' }])
  // An owner's mounts have names of their own. One without a name has none.
  const options = DeploymentOptions.parse({ owner: 'alice' })
  const toml = { app: 'web', flyToml: unnamed, options, defaults: { region: 'fra' } }
  const [group] = forOwner(desiredApp(toml), options).groups
  expect(group!.config.mounts).toEqual([{ path: '/data' }])
})

test('auto_extend that fly.toml does not have any more goes from the mount; its volume stays', async () => {
  const extend =
    'auto_extend_size_threshold = 80\nauto_extend_size_increment = "1GB"\nauto_extend_size_limit = "5GB"\n'
  await deployed(fake, { flyToml: mount + extend })
  const mountOf = () => fake.machines('web')[0]!.config.mounts![0]
  expect(mountOf()).toMatchObject({ extend_threshold_percent: 80, size_gb_limit: 5 })
  const { volume } = mountOf()!
  await deployed(fake, { number: 2, flyToml: mount })
  expect(mountOf()).toEqual({ name: 'data', path: '/data', volume })
})

test('a mount that is taken out of the config is told, with its volume and its machine', async () => {
  await deployed(fake, { flyToml: mount })
  const [machine] = fake.machines('web')
  const [volume] = fake.apps.get('web')!.volumes
  const texts: string[] = []
  const emit = (event: NewEvent) => void (event.type === 'warning' && texts.push(event.text))
  await deployed(fake, { number: 2, flyToml: '[http_service]\ninternal_port = 8080', emit })
  expect(texts).toContainEqual(
    expect.stringContaining(`Machine ${machine!.id} keeps volume ${volume!.id} (data) at /data`),
  )
  expect(fake.machines('web')[0]!.config.mounts).toHaveLength(1)
})

const http = '[http_service]\ninternal_port = 8080'
test.each<[string, Partial<DeploymentOptions>, string, string, string]>([
  [inRegion('zzz', http), {}, 'fra', 'primary_region in fly.toml is zzz', 'fly-config-invalid'],
  [http, { region: 'iax' }, 'fra', 'The option region is iax', 'fly-config-invalid'],
  [http, {}, 'fraa', 'TARMAC_FLY_REGION', 'fly-denied'],
])('of %j with %j in %s: %s', async (flyToml, options, region, words, code) => {
  const problem = await refused(preflight(flyToml, options, region))
  expect(problem.code).toBe(code)
  expect(problem.message).toContain(words)
  expect(problem.message).toMatch(/Fly has ams, fra, iad, lhr\. Did you mean \w+\?/)
})

test('a region that Fly does not have any more does not stop the machines that exist', async () => {
  await deployed(fake, { flyToml: inRegion('fra', http) })
  await preflight(inRegion('zzz', http))
})

test('when Fly does not say its regions, the deployment goes on', async () => {
  fake.faults.push(
    ...Array.from({ length: 9 }, () => ({ on: /regions/, fault: 'before' as const })),
  )
  await preflight(inRegion('zzz', http))
})
