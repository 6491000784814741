import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../../api/options.ts'
import { machineDrift } from '../../../../gateway/src/deploy/machines/drift.ts'
import { mergeConfig } from '../../../../gateway/src/deploy/config/merge-config.ts'
import { desiredApp, withOptions } from '../../../../gateway/src/deploy/config/desired.ts'
import type { StoredRelease } from '../../../../gateway/src/deployments/release-store.ts'
import { readFlyToml } from '../../../../gateway/src/flytoml/read-fly-toml.ts'

const desired = (flyToml: string | null, env: Record<string, string> = {}, path?: string) =>
  desiredApp({
    flyToml,
    path,
    app: 'web',
    options: DeploymentOptions.parse({ env }),
    defaults: { region: 'fra' },
  })

test('a definition has what the file says, and what options and defaults add', () => {
  expect(desired(null).definition).toMatchObject({
    primary_region: 'fra',
    env: { PORT: '8080' },
    services: [{ internal_port: 8080 }],
  })
  const toml = 'primary_region = "ams"\n[env]\nCOUNT = 5\nPORT = 9090\n[mounts]\nsource = "data"\n'
  expect(desired(`${toml}destination = "/data"\n`, { MORE: 'x' }).definition).toEqual({
    primary_region: 'ams',
    env: { COUNT: '5', PORT: '9090', MORE: 'x' },
    mounts: [{ source: 'data', destination: '/data' }],
  })
})

test('PORT is in the definition only if one value is right for all groups', () => {
  const services = [8080, 9090].map(
    (port) => `[[services]]\ninternal_port = ${port}\nprocesses = ["p${port}"]\n`,
  )
  const processes = '[processes]\np8080 = "a"\np9090 = "b"\n'
  expect(desired(processes + services.join('')).definition?.['env']).toEqual({})
  expect(desired(processes + services[0]).definition?.['env']).toEqual({ PORT: '8080' })
})

test('a definition from TOML or JSON makes the same machines as the file', () => {
  const toml = `kill_timeout = 5
[processes]
web = "serve --all"
worker = "work"
[http_service]
internal_port = 3000
processes = ["web"]
[[http_service.checks]]
path = "/up"
interval = "5s"
[[vm]]
size = "shared-cpu-2x"
[[restart]]
policy = "never"
processes = ["worker"]
`
  const read = (text: string, path: string) =>
    readFlyToml(
      text,
      () => null,
      () => {},
      path,
    ).groups
  const { definition } = desired(toml, { PORT: '3000' })
  const env = { PRIMARY_REGION: 'fra', PORT: '3000' }
  const wanted = [...read(toml, 'fly.toml')].map(([name, config]) => [
    name,
    { ...config, env: { ...config.env, ...env } },
  ])
  expect([...read(JSON.stringify(definition), 'fly.json')]).toEqual(wanted)
})

test('a release that is deployed again has the variables of the new deployment', () => {
  const options = DeploymentOptions.parse({ env: { MORE: 'new' } })
  const again = withOptions(desired('[env]\nWORD = "a"\n', { MORE: 'old' }), options)
  expect(again.definition?.['env']).toEqual({ WORD: 'a', MORE: 'new' })
})

test('marks of a release are neither drift nor part of a stored config', () => {
  const { groups } = desired(null)
  const ownership = { deployment: 'd', number: 1, owner: null, builder: null }
  const image = { reference: 'web@sha256:1', digest: 'sha256:1', tags: [] }
  const config = mergeConfig({}, groups[0]!, { ...ownership, image })
  const marks = { fly_release_id: 'x', fly_release_version: '8' }
  const marked = { ...config, metadata: { ...config.metadata, ...marks } }
  const machine = { id: 'm', name: 'm', state: 'started', region: 'fra', instance_id: '1' }
  const release = { owner: null, number: 1, image, desired: desired(null) }
  const drift = machineDrift(
    [{ ...machine, config: marked }],
    [release as unknown as StoredRelease],
  )
  expect(drift.drift).toEqual([])

  const flyRelease = { id: 'y', version: 9 }
  expect(mergeConfig(marked, groups[0]!, { ...ownership, image }).metadata).not.toHaveProperty(
    'fly_release_id',
  )
  expect(
    mergeConfig(marked, groups[0]!, { ...ownership, image, flyRelease }).metadata,
  ).toMatchObject({ fly_release_id: 'y', fly_release_version: '9' })
})
