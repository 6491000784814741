import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { readDesired } from '../../../gateway/src/deploy/config/read-desired.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { readProgress } from '../../../gateway/src/deploy/read-progress.ts'
import { packJson, unpackJson } from '../../../gateway/src/deployments/packed-json.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused } from './deployed.ts'

const flyToml = `[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n[deploy]\nrelease_command = "migrate"\n`
const options = DeploymentOptions.parse({ env: { LONG: 'x'.repeat(300) } })
const desired = desiredApp({ flyToml, app: 'web', options, defaults: { region: 'fra' } })

test('progress reads back as it was saved, at every moment of a deploy and its rollback', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml, env: options.env, watchMs: 0 })
  fly.natures.set(digest(2), 'check-fails')
  const saved: DeployProgress[] = []
  const kept = async (progress: DeployProgress) => void saved.push(progress)
  await refused(deployed(fly, { number: 2, flyToml, env: options.env, kept, waitMs: 500 }))

  expect(saved.length).toBeGreaterThan(5)
  for (const progress of saved)
    expect(readProgress(unpackJson(packJson(progress)))).toEqual(progress)
})

test('a machine config keeps fields that the gateway does not know, in their order', () => {
  const config = { zone: { b: 1, a: null }, env: { B: '', A: '' }, image: 'x', checks: null }
  const read = readDesired({ ...desired, groups: [{ ...desired.groups[0], config }] })
  expect(JSON.stringify(read.groups[0]?.config)).toBe(JSON.stringify(config))
})

test('an early release lacks fields, which get their defaults', () => {
  const { groups, strategy, region, guest, internalPort } = desired
  expect(readDesired({ groups, strategy, region, guest, internalPort, build: {} })).toEqual({
    ...desired,
    release: null,
  })
})

test('what is no progress and no desired config is reported, with the place', () => {
  expect(readProgress(null)).toBeNull()
  expect(readProgress(undefined)).toBeNull()
  expect(() => readProgress({ desired, slots: [{}], because: null, live: false })).toThrow(
    /^The progress of the deploy is damaged and cannot be read \(slots\.0\.role: /,
  )
  const groups = [{ name: 'app', config: { env: ['A'] } }]
  expect(() => readDesired({ ...desired, groups })).toThrow(
    expect.objectContaining({
      code: 'database-unusable',
      message: expect.stringContaining(
        'a release is damaged and cannot be read (groups.0.config: no',
      ),
    }),
  )
})
