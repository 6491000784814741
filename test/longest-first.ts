/** The order of test files: the longest start first, so that the workers of a layer end together. */
import { existsSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The files that take longest, with the seconds that each took on two cores. */
const seconds: Record<string, number> = {
  'test/e2e/crash-points-power.test.ts': 197,
  'test/e2e/appliance.test.ts': 192,
  'test/e2e/kills.test.ts': 179,
  'test/e2e/crash-points.test.ts': 151,
  'test/e2e/deploy.test.ts': 124,
  'test/e2e/crashes.test.ts': 123,
  'test/e2e/broken.test.ts': 119,
  'test/e2e/router.test.ts': 110,
  'test/e2e/poison.test.ts': 94,
  'test/e2e/hostile.test.ts': 88,
  'test/e2e/verdicts.test.ts': 81,
  'test/gateway/awake/idle-process.test.ts': 79,
  'test/e2e/client.test.ts': 67,
  'test/e2e/soak.test.ts': 66,
  'test/growth/growth.test.ts': 65,
  'test/services/disk.test.ts': 64,
  'test/e2e/invariants.test.ts': 64,
  'test/e2e/browser/log.test.ts': 64,
  'test/gateway/deploy/strategies.test.ts': 57,
  'test/services/daemon.test.ts': 55,
  'test/e2e/idle-stop.test.ts': 52,
  'test/e2e/browser/deployment.test.ts': 52,
  'test/services/images.test.ts': 51,
  'test/services/previews.test.ts': 45,
  'test/client/up/kills.test.ts': 41,
  'test/gateway/commands/rollouts.test.ts': 39,
  'test/client/client.test.ts': 37,
  'test/services/secrets.test.ts': 36,
  'test/client/upkeep/upgrade.test.ts': 34,
  'test/services/fly-releases.test.ts': 32,
  'test/gateway/router/routes.test.ts': 32,
  'test/client/up/repairs.test.ts': 31,
  // It takes longer, but only computes. Beside `growth`, it would take a core from all others.
  'test/regular-expressions.test.ts': 30,
}

const root = join(import.meta.dirname, '..')

/** Groups of projects keep their order. Files without a row come last, the larger ones first. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    for (const file of Object.keys(seconds))
      if (!existsSync(join(root, file)))
        throw new Error(
          `test/longest-first.ts names ${file}, which does not exist. Remove its row.`,
        )

    const ranked = files.map((spec) => ({
      spec,
      group: spec.project.config.sequence.groupOrder,
      seconds: seconds[relative(root, spec.moduleId)] ?? 0,
      bytes: statSync(spec.moduleId).size,
    }))
    return ranked
      .toSorted((a, b) => a.group - b.group || b.seconds - a.seconds || b.bytes - a.bytes)
      .map(({ spec }) => spec)
  }
}
