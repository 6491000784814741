import { expect, test } from 'vitest'
import type { Preview } from '../../../api/previews/preview.ts'
import type { Template, TemplateList } from '../../../api/previews/template.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { forPreview, previewGuest } from '../../../gateway/src/deploy/config/preview.ts'
import { startMachines } from '../start-machines.ts'

const toml = (memory: string, port = 3000) => `
[env]
MODE = "template"
[http_service]
internal_port = ${port}
auto_stop_machines = "suspend"
auto_start_machines = true
[[vm]]
memory = "${memory}"
cpus = 2
`

test('a template decides what the machine of a preview is like, and a version of it never changes', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call } = gateway
  const put = (config: string, name = 'small', format = 'toml') =>
    call<Template>('PUT', `/v1/apps/shop/templates/${name}`, { config, format })
  expect(await put(toml('512mb'))).toMatchObject({ status: 200, body: { version: 1 } })
  expect(await put(toml('512mb'))).toMatchObject({ body: { version: 1 } })
  expect(await put(toml('1gb'))).toMatchObject({ body: { version: 2, createdBy: 'operator' } })
  const json = JSON.stringify({ http_service: { internal_port: 4000 } })
  expect(await put(json, 'plain', 'json')).toMatchObject({ status: 200, body: { version: 1 } })

  const source = { image: images.put('shop', 'v1').name }
  const ask = (template: string) =>
    call<Preview>('POST', '/v1/previews?wait=true', {
      app: 'shop',
      owner: 'alice',
      source,
      template,
      env: { MINE: '1' },
    })
  const configOf = (flyApp: string) => fly.machines(flyApp)[0]?.config
  const first = await ask('small@1')
  expect(first.body).toMatchObject({ state: 'ready', template: { name: 'small', version: 1 } })
  expect(configOf(first.body.flyApp)).toMatchObject({
    guest: { memory_mb: 512, cpus: 2 },
    env: { MODE: 'template', MINE: '1', PORT: '3000' },
    services: [{ internal_port: 3000, autostop: 'suspend' }],
  })
  expect((await ask('small')).body.template).toEqual({ name: 'small', version: 2 })
  expect(configOf((await ask('plain')).body.flyApp)?.services).toMatchObject([
    { internal_port: 4000 },
  ])

  const { templates } = await get<TemplateList>('/v1/apps/shop/templates')
  expect(templates).toMatchObject([
    { name: 'plain', version: 1 },
    { name: 'small', version: 2 },
  ])
  expect(await get<Template>('/v1/apps/shop/templates/small?version=1')).toMatchObject({
    config: toml('512mb'),
  })
  const remove = () => call('DELETE', '/v1/apps/shop/templates/small')
  expect(await remove()).toMatchObject({ status: 200, body: { version: 2 } })
  expect((await remove()).status).toBe(404)
  expect(await ask('small')).toMatchObject({ status: 404, body: { code: 'template-not-found' } })
  expect((await put(toml('512mb'))).body.version).toBe(3)
})

test.each([
  ['Small', toml('512mb'), 'template-invalid'],
  ['small', 'vm = 3', 'fly-config-invalid'],
  ['small', 'not toml at all [', 'fly-config-invalid'],
  ['small', toml('4gb'), 'fly-config-invalid'],
])('a template %s with %j is refused', async (name, config, code) => {
  await using gateway = await startMachines()
  const answer = await gateway.call('PUT', `/v1/apps/shop/templates/${name}`, { config })
  expect(answer).toMatchObject({ status: 422, body: { code } })
})

test('a template that a preview names must exist', async () => {
  await using gateway = await startMachines()
  const ask = (template: string) =>
    gateway.call('POST', '/v1/previews', {
      app: 'shop',
      owner: 'alice',
      source: { image: 'x' },
      template,
    })
  expect(await ask('none')).toMatchObject({ body: { code: 'template-not-found' } })
  expect(await ask('none@2')).toMatchObject({ body: { code: 'template-not-found' } })
  expect(await ask('@')).toMatchObject({ body: { code: 'template-invalid' } })
})

test.each([
  ['its groups together', `[processes]\na = "a"\nb = "b"\n[[vm]]\nmemory = "1536mb"`, '3072 MiB'],
  [
    'its release command',
    `[deploy]\nrelease_command = "x"\nrelease_command_vm = { memory = "64gb" }`,
    '65536 MiB',
  ],
  ['memory that Fly does not sell', `[[vm]]\nmemory = "300mb"`, '256 or 512'],
  ['more memory than its CPUs have', `[[vm]]\nmemory = "1gb"\ncpus = 8`, '2048 to 16384 MiB'],
  ['CPUs that Fly does not sell', `[[vm]]\ncpus = 3\nmemory = "1gb"`, '1, 2, 4, 6, 8'],
  [
    'its release command’s memory',
    `[deploy]\nrelease_command = "x"\nrelease_command_vm = { memory = "300mb" }`,
    'The release command asks for 300 MiB',
  ],
  ['a GPU', `[[vm]]\nsize = "a10"\nmemory = "2gb"`, 'GPU'],
])('a template is refused for what %s may not have', async (_what, config, why) => {
  await using gateway = await startMachines()
  const answer = await gateway.call('PUT', '/v1/apps/shop/templates/small', { config })
  expect(answer).toMatchObject({
    status: 422,
    body: { code: 'fly-config-invalid', detail: expect.stringContaining(why) },
  })
})

test('a preview of a size that Fly does not sell ends before its build, and says which there are', async () => {
  const preview = { readyMs: 1, maxMemoryMb: 2048, cpuKind: 'shared', port: 8080 } as const
  const desired = (flyToml: string, size: { memoryMb: number; cpus: number }) => {
    const settings = { ...preview, ...size }
    const defaults = { region: 'ams', guest: previewGuest(settings) }
    const options = DeploymentOptions.parse({})
    return () =>
      forPreview(
        desiredApp({ app: 'shop', options, flyToml, path: 'fly.toml', defaults }),
        settings,
      )
  }
  const own = '[http_service]\ninternal_port = 8080\n'
  const fine = { memoryMb: 512, cpus: 1 }
  expect(desired(own, fine)).not.toThrow()
  expect(desired(`${own}[[vm]]\nmemory = "300mb"`, fine)).toThrow(
    'Group app asks for 300 MiB of memory and 1 shared CPU, which Fly does not take. Fly takes 256 to 2048 MiB for that, in steps of 256 MiB: 256 or 512, for example.',
  )
  const wrong = { memoryMb: 300, cpus: 1 }
  expect(desired(own, wrong)).toThrow(/^The gateway's settings give a preview 300 MiB/)
  expect(desired(`${own}[[vm]]\nmemory = "256mb"`, wrong)).not.toThrow()
})
