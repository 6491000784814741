import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readFlyToml } from '../../../gateway/src/deploy/fly-toml.ts'
import { machineConfig } from '../../../gateway/src/deploy/machine-config.ts'
import { Problem } from '#api/problem.ts'

/** Recorded answers of a real flyctl; they lie outside the project, so the test stands without them. */
const folder = ['../shared', '../../shared', '../../../shared']
  .map((up) => join(import.meta.dirname, '../../..', up, 'conformance/flytoml'))
  .find((path) => existsSync(path))

type Case = { toml: string; ok: boolean; groups: Record<string, { metadata: Record<string, string> }> }

test.skipIf(!folder)(
  'fly.toml becomes the machine configs that flyctl makes of it, and is refused where flyctl refuses',
  () => {
    const names = readdirSync(folder ?? '').filter((name) => name.endsWith('.json'))
    expect(names.length).toBeGreaterThan(100)
    for (const name of names) {
      const recorded = JSON.parse(readFileSync(join(folder ?? '', name), 'utf8')) as Case
      for (const { metadata } of Object.values(recorded.groups ?? {})) delete metadata['fly_flyctl_version']
      expect
        .soft({ name, ...translate(recorded.toml) })
        .toEqual({ name, ok: recorded.ok, ...(recorded.ok && { groups: recorded.groups }) })
    }
  },
)

function translate(toml: string): object {
  try {
    const file = readFlyToml(
      toml,
      () => null,
      () => {},
    )
    const groups = [...file.groups.keys()].map((group) => [group, machineConfig(file, group)])
    return { ok: true, groups: JSON.parse(JSON.stringify(Object.fromEntries(groups))) as object }
  } catch (error) {
    if (error instanceof Problem && error.code === 'fly-config-invalid') return { ok: false }
    throw error
  }
}
