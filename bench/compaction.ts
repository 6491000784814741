import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { DeploymentOptions } from '../api/options.ts'
import { openSqliteStore } from '../gateway/src/store/sqlite.ts'
import type { Measure } from './measure.ts'
import { median } from './side-by-side.ts'

const about = 'how long a writer waits while an old log is dropped: [--events 300000]'
const limitMs = 50

/**
 * Compares with a limit, not another program: the ratio is the longest wait of any write to the
 * allowed wait.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({ args, options: { events: { type: 'string', default: '300000' } } })
  const events = Number(values.events)
  mkdirSync('.lab-bench', { recursive: true })
  const dir = mkdtempSync('.lab-bench/compaction-')
  try {
    await using store = openSqliteStore(join(dir, 'tarmac.db'))
    const begin = async (id: string) => {
      await store.create({ id, app: 'bench', options: DeploymentOptions.parse({}), source: null })
      return { id, epoch: (await store.claim())!.epoch }
    }
    const old = await begin('old')
    const line = {
      type: 'log',
      step: 's1',
      stream: 'stdout',
      text: 'a line of output '.repeat(5),
    } as const
    for (let n = 0; n < events; n += 1000)
      await store.append(
        old,
        Array.from({ length: 1000 }, () => line),
      )
    await store.advance(old, 'fetching', 'superseded')
    const fresh = await begin('fresh')

    /** Each write begins after other work had its turn, and counts that time. */
    const waitsUntil = async (end: AbortSignal): Promise<number[]> => {
      const waits: number[] = []
      while (!end.aborted) {
        const start = performance.now()
        await setImmediate()
        await store.append(fresh, [line])
        waits.push(performance.now() - start)
      }
      return waits
    }
    const idle = await waitsUntil(AbortSignal.timeout(3000))
    const done = new AbortController()
    void store
      .dropLogs({ perApp: 1, days: 1 }, new AbortController().signal)
      .finally(() => done.abort())
    const waits = await waitsUntil(done.signal)

    const longestMs = Math.max(...waits)
    const rounded = (ms: number) => Math.round(ms * 10) / 10
    const facts = {
      events,
      writes: waits.length,
      medianMs: rounded(median(waits)),
      idleLongestMs: rounded(Math.max(...idle)),
    }
    return [
      {
        bench: 'compaction',
        longestMs: rounded(longestMs),
        limitMs,
        ...facts,
        ratio: rounded(longestMs / limitMs),
        goal: 1,
        ok: longestMs <= limitMs,
      },
    ]
  } finally {
    rmSync(dir, { recursive: true })
  }
}

export const compaction = { about, run }
