import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { inMb } from '#api/text/in-mb.ts'
import type { Printer } from '../print.ts'
import type { BuilderCalls } from './builder-calls.ts'
import { whileDrained } from './drained.ts'
import type { RestoreCommand } from './read-upkeep.ts'

const restartMs = 180_000
const lookMs = 500
/** Of each SQLite file. Source: sqlite.org/fileformat2.html. */
const beginning = 'SQLite format 3\0'

/** `tarmac restore FILE`: replaces the builder's records by those of a backup. */
export async function restore(
  { file, overNewer, drainSeconds }: Pick<RestoreCommand, 'file' | 'overNewer' | 'drainSeconds'>,
  calls: BuilderCalls,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const copy = await readFacts(resolve(file))
  const drain = { seconds: drainSeconds, printer, signal }
  const facts = await whileDrained(calls, drain, async () => {
    printer.note(
      `sending ${inMb(copy.bytes)}; the builder checks the file before it replaces anything`,
    )
    return calls.restore(copy, overNewer, signal)
  })

  printer.note('the builder restarts with these records')
  await restarted(calls, signal)
  const lost = facts.newer
    ? ` ${facts.newer.deployments} newer deployments are no longer known.`
    : ''
  printer.note(
    `restored: ${facts.deployments} deployments.${lost} The earlier records are kept on the builder’s volume, as tarmac.db.before-TIME. Build secrets open only with the TARMAC_SECRETS_KEY of the builder that made the backup`,
  )
  return printer.result({ file: copy.path, ...facts }, [])
}

async function readFacts(path: string) {
  const hash = createHash('sha256')
  try {
    const { size: bytes } = await stat(path)
    await assertDatabase(path)
    hash.setEncoding('base64')
    await pipeline(createReadStream(path), hash)
    return { path, bytes, sha256: String(hash.read()) }
  } catch (cause) {
    if (cause instanceof Problem) throw cause
    throw new Problem('option-invalid', `${path} cannot be read: ${errorMessage(cause)}.`, {
      cause,
    })
  }
}

/** Before the builder is drained for it. The builder checks the rest. */
async function assertDatabase(path: string): Promise<void> {
  await using file = await open(path)
  const { buffer } = await file.read(Buffer.alloc(beginning.length), 0, beginning.length, 0)
  if (buffer.toString('latin1') === beginning) return
  throw new Problem(
    'backup-invalid',
    `${path} is no backup: tarmac backup writes a database, and this file is none. Nothing was sent.`,
  )
}

/** A gateway that has started again is not drained any more. */
async function restarted(calls: BuilderCalls, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + restartMs
  for (;;) {
    const state = await calls.drain(signal).then(
      (facts) => facts.state,
      (error: unknown) => errorMessage(error),
    )
    if (state === 'working') return
    signal.throwIfAborted()
    if (performance.now() > deadline)
      throw new Problem(
        'not-ready',
        `The builder did not come back within ${restartMs / 1000} s after the restore (${state}). Its log says why (fly logs). The earlier records are on its volume, as tarmac.db.before-TIME.`,
      )
    await sleep(lookMs, undefined, { signal })
  }
}
