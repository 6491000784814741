import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flyTomlDifference, type FlyTomlCase } from '../../../bench/conformance-flytoml.ts'

/**
 * Recorded answers of a real flyctl. They are outside the project, so the test is skipped without
 * them.
 */
const folder = ['../shared', '../../shared', '../../../shared']
  .map((up) => join(import.meta.dirname, '../../..', up, 'conformance/flytoml'))
  .find((path) => existsSync(path))

test.skipIf(!folder)(
  'fly.toml becomes the same machine configs as in flyctl, release command included, and is refused where flyctl refuses',
  () => {
    const names = readdirSync(folder ?? '').filter((name) => name.endsWith('.json'))
    expect(names.length).toBeGreaterThan(100)
    for (const name of names) {
      const recorded = JSON.parse(readFileSync(join(folder ?? '', name), 'utf8')) as FlyTomlCase
      expect.soft([name, flyTomlDifference(recorded)]).toEqual([name, null])
    }
  },
)
