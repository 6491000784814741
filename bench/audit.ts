import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { operator } from '../gateway/src/callers/principal.ts'
import type { Call } from '../gateway/src/commands/access/guarded.ts'
import { ofName } from '../gateway/src/commands/access/recorded.ts'
import { openRecorder } from '../gateway/src/commands/audit/recorder.ts'
import type { Lookups } from '../gateway/src/commands/access/row.ts'
import { openLog } from '../gateway/src/log.ts'
import { Redactor } from '../gateway/src/secrets/redaction/redactor.ts'
import { SealingKeys } from '../gateway/src/secrets/sealing.ts'
import { Vault } from '../gateway/src/secrets/vault.ts'
import { openSqliteStore } from '../gateway/src/store/sqlite.ts'
import type { Measure } from './measure.ts'
import { sideBySide } from './side-by-side.ts'

const about =
  'changes with the audit trail, compared with the same changes without it: [--changes 400] [--runs 7]'
/**
 * A change syncs the disk once. The trail adds an entry before it and one after it, each with a
 * commit and a new head file. Callers at the same time share them.
 */
const goals = { 1: 6, 16: 3 }

async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      changes: { type: 'string', default: '400' },
      runs: { type: 'string', default: '7' },
    },
  })
  const [changes, runs] = [Number(values.changes), Number(values.runs)]
  const measures: Measure[] = []
  for (const callers of [1, 16] as const) {
    const goal = goals[callers]
    console.log(`\n${changes} changes by ${callers} callers at once; theirs: without the trail`)
    const { oursMs, theirsMs, ratio } = await sideBySide(runs, {
      ours: () => timed({ changes, callers, isRecorded: true }),
      theirs: () => timed({ changes, callers, isRecorded: false }),
    })
    const ofOne = (ms: number) => Math.round((ms / changes) * 1000) / 1000
    measures.push({
      bench: 'audit',
      callers,
      changes,
      runs,
      withMs: ofOne(oursMs),
      withoutMs: ofOne(theirsMs),
      addedMs: ofOne(oursMs - theirsMs),
      ratio,
      goal,
      ok: ratio <= goal,
    })
  }
  return measures
}

type Way = { changes: number; callers: number; isRecorded: boolean }

/** Stores secrets of a build, as `PUT /v1/apps/{app}/secrets/{name}` does. */
async function timed({ changes, callers, isRecorded }: Way): Promise<number> {
  mkdirSync('.lab-bench', { recursive: true }) // on a disk: /tmp may be memory
  const dir = mkdtempSync('.lab-bench/audit-')
  try {
    await using store = openSqliteStore(join(dir, 'tarmac.db'))
    const key = new Uint8Array(32)
    const log = openLog('silent')
    const { trail } = await store.openTrail({ dir, key, log })
    const redactor = new Redactor(['a-token-of-the-bench'])
    const recorder = openRecorder({ trail, log, redact: (value) => redactor.redact(value) })
    const vault = new Vault(store, new SealingKeys(key))
    const value = new TextEncoder().encode('value')
    let next = 0
    const change = async (app: string) => {
      for (let n = next++; n < changes; n = next++) {
        const name = `NAME_${n % 20}`
        const put = () => vault.put(app, name, value)
        await (isRecorded ? recorder.record(callOf(app, name), put, noLookups) : put())
      }
    }
    const begun = performance.now()
    await Promise.all(Array.from({ length: callers }, (_, at) => change(`app-${at}`)))
    return performance.now() - begun
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const callOf = (app: string, name: string): Call => ({
  command: 'putSecret',
  caller: operator,
  changes: true,
  newApps: [],
  targets: [{ app, owner: null }],
  args: [app, name],
  recorded: ofName,
})

const absent = () => Promise.reject(new Error('this change looks nothing up'))
const noLookups: Lookups = {
  deployment: absent,
  preview: absent,
  rollout: absent,
  unfinished: absent,
  appOfImage: () => null,
  settings: absent,
  rule: absent,
  isSourceGone: absent,
  teams: { find: () => null, teamOf: () => '', teamsOf: () => null },
}

export const audit = { about, run }
