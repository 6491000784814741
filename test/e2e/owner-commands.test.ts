import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DestroyedOwner, Owner, OwnerPage } from '#api/owners/owner.ts'
import type { Volume } from '#fly/answers.ts'
import { askFly } from '../../lab/use-lab.ts'
import { type CrashLab, startCrashLab } from './crash-lab.ts'
import { shareLab } from './shared-lab.ts'
import type { Files } from './start.ts'

let lab: CrashLab
shareLab(
  () => startCrashLab({ TARMAC_OWNERS: 'app-per-owner' }),
  (fresh) => void (lab = fresh),
)

const flyToml = `[mounts]
source = "data"
destination = "/data"
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
auto_start_machines = true
[[http_service.checks]]
path = "/version"
interval = "1s"
timeout = "1s"
grace_period = "1s"
`
/** Serves its volume, and its version in it. */
const files = (version: string): Files => ({
  'fly.toml': flyToml,
  Dockerfile: `FROM alpine
CMD ["sh", "-c", "echo ${version} > /data/version && exec httpd -f -p 8080 -h /data"]
`,
})

async function call<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await fetch(`${lab.gateway}/v1/apps/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${lab.token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  return (await answer.json()) as T
}
const show = (path: string) => call<Owner & { code?: string }>('GET', path)
const volumesOf = (app: string) => askFly<Volume[]>(lab, 'GET', `/apps/${app}/volumes`)

/** Writes a note into the volume of a machine. */
async function note(app: string, machine: string, text: string): Promise<void> {
  const command = ['sh', '-c', `echo ${text} > /data/note`]
  await askFly(lab, 'POST', `/apps/${app}/machines/${machine}/exec`, { command })
}

test('an owner with an app of its own is stopped, started, moved and destroyed, and its data stays until it is deleted', async () => {
  const ada = 'shop/owners/ada'
  expect((await lab.held('shop', files('first'), 'owner=ada')).record.state).toBe('live')
  const { flyApp, machines, volumes } = await show(ada)
  expect(flyApp).toMatch(/^shop-ada-ow-/)
  await note(flyApp, machines[0]!.id, 'of-ada')
  expect(await lab.page(flyApp, '/version')).toBe('first\n')

  expect(await call('POST', `${ada}/stop`)).toMatchObject({ state: 'stopped' })
  expect(await lab.page(flyApp, '/note').catch(String)).not.toBe('of-ada\n')
  expect(await lab.machines(flyApp)).toMatchObject([{ state: 'stopped' }])
  expect(await call('POST', `${ada}/start`)).toMatchObject({ state: 'running' })
  expect(await lab.page(flyApp, '/note')).toBe('of-ada\n')

  expect((await lab.held('shop', files('second'))).record).toMatchObject({ state: 'live' })
  const asked = { source: { app: 'shop', release: 1 }, owner: 'ada' }
  const moved = await call<Deployment>('POST', 'shop/deployments', asked)
  expect((await lab.end(moved.id)).record).toMatchObject({ state: 'live', release: 2 })
  expect(await lab.page(flyApp, '/version')).toBe('second\n')
  expect(await lab.page(flyApp, '/note')).toBe('of-ada\n')

  const kept = await call<DestroyedOwner>('DELETE', `${ada}?volumes=keep`)
  expect(kept).toMatchObject({ flyApp: null, volumes: { kept: [volumes[0]!.id] } })
  expect(await lab.machines(flyApp)).toEqual([])
  const back = await call<Deployment>('POST', 'shop/rollback?owner=ada&release=1')
  expect((await lab.end(back.id)).record).toMatchObject({ state: 'live', release: 3 })
  expect(await lab.page(flyApp, '/version')).toBe('first\n')
  expect(await lab.page(flyApp, '/note')).toBe('of-ada\n')

  const destroy = () => call<DestroyedOwner>('DELETE', `${ada}?volumes=delete`)
  await lab.dies('owner-machines-gone', destroy)
  await lab.start('gateway')
  expect((await show(ada)).state).toBe('missing')
  expect(await destroy()).toMatchObject({ flyApp })
  expect((await show(ada)).code).toBe('owner-not-found')
  expect((await lab.holdings()).apps).not.toContain(flyApp)
  expect(await lab.page('shop', '/version')).toBe('second\n')
})

test('of owners in a shared app one is destroyed, also when the gateway is killed half way, and the others stay', async () => {
  await call('PATCH', 'flat', { owners: 'shared-app' })
  for (const owner of ['ada', 'bob'])
    expect((await lab.held('flat', files(owner), `owner=${owner}`)).record.state).toBe('live')
  const [ada, bob] = [await show('flat/owners/ada'), await show('flat/owners/bob')]
  expect([ada.flyApp, bob.flyApp]).toEqual(['flat', 'flat'])
  await note('flat', bob.machines[0]!.id, 'of-bob')

  const destroy = () => call<DestroyedOwner>('DELETE', 'flat/owners/ada?volumes=delete')
  await lab.dies('owner-machines-gone', destroy)
  await lab.start('gateway')
  expect(await show('flat/owners/ada')).toMatchObject({
    state: 'missing',
    volumes: [{ id: ada.volumes[0]!.id, machine: null }],
  })
  expect(await destroy()).toMatchObject({
    machines: [],
    volumes: { deleted: [ada.volumes[0]!.id], kept: [] },
  })
  expect((await volumesOf('flat')).map(({ id }) => id)).toEqual([bob.volumes[0]!.id])
  const { owners } = await call<OwnerPage>('GET', 'flat/owners')
  expect(owners).toMatchObject([{ owner: 'bob', state: 'running' }])
  expect(await lab.page('flat', '/note')).toBe('of-bob\n')
})
