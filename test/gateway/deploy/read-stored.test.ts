import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { readDesired } from '../../../gateway/src/deploy/config/read-desired.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { readProgress } from '../../../gateway/src/deploy/read-progress.ts'
import { packJson, unpacked, unpackJson } from '../../../gateway/src/deployments/packed-json.ts'
import type { Machine, MachineConfig } from '#fly/machine.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused, type Asked } from './deployed.ts'

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
  const { definition: _definition, ...whole } = desired
  const { groups, strategy, region, guest, internalPort } = whole
  expect(readDesired({ groups, strategy, region, guest, internalPort, build: {} })).toEqual({
    ...whole,
    releaseCommand: null,
  })
})

test('what is no progress and no desired config is reported, with the place', () => {
  expect(readProgress(null)).toBeNull()
  expect(readProgress(undefined)).toBeNull()
  expect(() => readProgress({ desired, steps: [{}], rollbackReason: null, live: false })).toThrow(
    /^The progress of the deploy is damaged and cannot be read \(steps\.0\.role: /,
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

// `stored/` has records that the gateway wrote before its fields got the names of the glossary: the
// progress of a deploy that was cut off, with the machines that it left, and releases.

type CutOff = { progress: unknown; machines: (Machine & { config: MachineConfig; made: number })[] }
const stored = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'stored', `${name}.json`), 'utf8'))

/** Goes on with a deploy that an earlier gateway began. */
async function resumed(name: string, more: Asked) {
  await using fly = await FakeFly.start()
  const { progress, machines } = stored(name) as CutOff
  const kept = machines.map((machine) => [machine.id, { ...machine, lease: null }] as const)
  const app = { name: 'web', ips: [], volumes: [], secrets: [], machines: new Map(kept) }
  fly.apps.set('web', app)
  const events: string[] = []
  const emit = (event: NewEvent) => {
    if (event.type === 'machine') events.push(`${names.get(event.machine)} ${event.status}`)
  }
  const names = new Map(machines.map(({ id, name }) => [id, name]))
  const rollout = readProgress(unpacked(progress))
  const outcome = await deployed(fly, { number: 2, watchMs: 0, rollout, emit, ...more }).then(
    () => 'live',
    (error: unknown) => error,
  )
  const left = fly.machines('web').map(({ name, state, image_ref, made }) => ({
    name,
    state,
    number: Number(image_ref?.digest?.split(':')[1]),
    made,
  }))
  return { outcome, events, left, calls: fly.calls }
}

test('a rolling deploy that an earlier gateway began goes on with the next machine', async () => {
  const { outcome, events, left } = await resumed('rolling-packed', {})
  expect(outcome).toBe('live')
  expect(events.filter((event) => /updating|removed|creating/.test(event))).toEqual([
    'app-2-d1 updating',
  ])
  expect(left).toEqual([
    { name: 'app-1-d1', state: 'started', number: 2, made: 2 },
    { name: 'app-2-d1', state: 'started', number: 2, made: 2 },
  ])
})

test('a rollback that an earlier gateway began goes on, for the reason that it had', async () => {
  const { outcome, left } = await resumed('rollback', {})
  expect(outcome).toMatchObject({
    code: 'deploy-failed',
    message: expect.stringMatching(/did not pass its checks .* 1 machine is rolled back to/),
  })
  expect(left).toEqual([
    { name: 'app-1-d1', state: 'started', number: 1, made: 1 },
    { name: 'app-2-d1', state: 'started', number: 1, made: 3 },
  ])
})

test('a release command that an earlier gateway created runs once', async () => {
  const { outcome, events, calls } = await resumed('release-command', {})
  expect(outcome).toBe('live')
  expect(events).toContain('release-command-d2 removed')
  expect(calls.filter((call) => call === 'POST /apps/web/machines')).toEqual([])
})

test('machines that an earlier gateway started only to test them are stopped again', async () => {
  const { outcome, left } = await resumed('bluegreen-resting', {})
  expect(outcome).toBe('live')
  expect(left.map(({ state, number }) => [state, number])).toEqual([
    ['stopped', 2],
    ['stopped', 2],
  ])
})

test('releases of an earlier gateway keep their release command and what their machines got', () => {
  for (const name of ['release', 'release-packed']) {
    const { releaseCommand, groups } = readDesired(unpacked(stored(name)))
    expect(releaseCommand).toMatchObject({
      config: { init: { cmd: ['migrate'] } },
      timeoutMs: 300_000,
    })
    expect(groups.map(({ lastApplied }) => lastApplied?.metadata?.['fly_process_group'])).toEqual([
      'job',
      'web',
    ])
    expect(groups[0]?.config.env?.['LONG']?.length).toBe(name === 'release' ? undefined : 300)
  }
  expect(readDesired(stored('restored')).groups.map(({ removedPaths }) => removedPaths)).toEqual([
    ['dns'],
    [],
  ])
})
