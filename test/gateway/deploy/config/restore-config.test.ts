import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { desiredApp } from '../../../../gateway/src/deploy/config/desired.ts'
import { mergeConfig } from '../../../../gateway/src/deploy/config/merge-config.ts'
import {
  keysOf,
  restoreConfig,
  withLastApplied,
} from '../../../../gateway/src/deploy/config/restore-config.ts'
import type { MachineConfig } from '#fly/machine.ts'

const [options, defaults] = [DeploymentOptions.parse({}), { region: 'fra' }]
const plain = desiredApp({ flyToml: null, app: 'web', options, defaults })
const image = { reference: 'r/web@sha256:aa', digest: 'sha256:aa', tags: ['v1'] }
const marks = { image, deployment: 'd', number: 1, owner: null, builder: 'gateway' }

/** A release as it is stored. `config`: what its fly.toml adds to the default. */
function release(config: MachineConfig, live: MachineConfig = {}) {
  const [group] = plain.groups
  const desired = { ...plain, groups: [{ ...group!, config: { ...group!.config, ...config } }] }
  const applied = mergeConfig(live, desired.groups[0]!, marks)
  return { desired: withLastApplied(desired, { app: applied }), applied }
}

test('a rollback removes what only later releases set, and restores what they changed', () => {
  const metadata = { team: 'a' }
  const first = release({ metadata }, { auto_destroy: true, guest: { memory_mb: 256 } })
  const later = release(
    { guest: { memory_mb: 512 }, schedule: 'daily', metadata: { tier: '1' }, init: { tty: true } },
    first.applied,
  )

  const restored = restoreConfig(first.desired, [keysOf(later.desired)])
  expect(restored.groups[0]?.removedPaths?.toSorted()).toEqual([
    'init.tty',
    'metadata.tier',
    'schedule',
  ])
  const config = mergeConfig(later.applied, restored.groups[0]!, marks)
  expect(config).toMatchObject({ auto_destroy: true, guest: { memory_mb: 256 }, init: {} })
  expect(config['schedule']).toBeUndefined()
  expect(config.metadata).toMatchObject(metadata)
  expect(config.metadata).not.toHaveProperty('tier')
})

test('a rollback keeps what no release set', () => {
  const first = release({})
  const later = release({ schedule: 'daily' }, first.applied)
  const live = { ...later.applied, auto_destroy: true, env: { ...later.applied.env, OWN: '1' } }
  const restored = restoreConfig(first.desired, [keysOf(later.desired)])
  const config = mergeConfig(live, restored.groups[0]!, marks)
  expect(config).toMatchObject({ auto_destroy: true, env: { OWN: '1' } })
})

test('a release stores what its machines got, without what belongs to one machine or deployment', () => {
  const live = {
    guest: { memory_mb: 256 },
    standbys: ['m1'],
    mounts: [{ name: 'data', volume: 'vol_1' }],
    metadata: { team: 'a' },
  }
  const [group] = release({}, live).desired.groups
  expect(group?.lastApplied).toEqual({
    guest: { memory_mb: 256 },
    metadata: { ...group?.config.metadata, team: 'a' },
  })
  expect(group).not.toHaveProperty('removedPaths')
})
