import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { cacheDir } from './lab/ready.ts'
import { LongestFirst } from './test/longest-first.ts'
import { SecondTries } from './test/second-tries.ts'

// Also for the programs that the tests start: it halves the start of a client or a gateway.
process.env['NODE_COMPILE_CACHE'] ??= join(cacheDir, 'compiled')

// Tests mostly wait for programs and limits, so two cores serve more workers. The fast ones have short
// times for machines that crash, which more workers would miss.
const fastWorkers = 2
const labWorkers = 3
// A busy machine is late. A test that waits for something longer than that has found a fault.
const expect = { poll: { timeout: 15_000 } }

/**
 * Layers: `fast` needs nothing but Node; `services` starts real parts of the lab; `e2e` starts a whole
 * lab; `browser` looks at the dashboard of a whole lab. `fast` runs first, the others run together.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new SecondTries()],
    projects: [
      {
        test: {
          name: 'fast',
          expect,
          testTimeout: 20_000, // a deploy to an app keeps within Fly's limit of one call a second
          maxWorkers: fastWorkers,
          sequence: { groupOrder: 1 },
          include: ['test/**/*.test.ts'],
          exclude: ['test/services/**', 'test/e2e/**'],
        },
      },
      {
        test: {
          name: 'services',
          expect,
          include: ['test/services/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: labWorkers,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'e2e',
          expect,
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['test/e2e/browser/**'],
          testTimeout: process.env['TARMAC_LONG'] ? 3_600_000 : 300_000,
          hookTimeout: 300_000,
          maxWorkers: labWorkers,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'browser',
          expect,
          include: ['test/e2e/browser/**/*.test.ts'],
          globalSetup: 'test/e2e/browser/share-lab.ts', // one lab and one browser for all files
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: labWorkers,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
