import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

// Most of the time the tests wait for real programs, so there are more workers than cores.
const whileOthersWait = 3

/**
 * Layers: `fast` needs nothing but Node; `services` starts real parts of the lab; `e2e` starts a whole
 * lab; `browser` looks at the dashboard of a whole lab. `fast` runs first, the others run together.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'fast',
          testTimeout: 20_000, // a deploy to an app keeps within Fly's limit of one call a second
          maxWorkers: whileOthersWait,
          sequence: { groupOrder: 1 },
          include: ['test/**/*.test.ts'],
          exclude: ['test/services/**', 'test/e2e/**'],
        },
      },
      {
        test: {
          name: 'services',
          include: ['test/services/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: whileOthersWait,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['test/e2e/browser/**'],
          testTimeout: process.env['TARMAC_LONG'] ? 3_600_000 : 300_000,
          hookTimeout: 300_000,
          maxWorkers: whileOthersWait,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/e2e/browser/**/*.test.ts'],
          globalSetup: 'test/e2e/browser/share-lab.ts', // one lab and one browser for all files
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: whileOthersWait,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
