import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { isBusy } from './sqlite-errors.ts'

/** How long a gateway that was stopped or killed may take to disappear. */
const handOverMs = 1000

/** The process that holds a volume, as the file names it. */
const Holder = z.object({ pid: z.number(), host: z.string(), since: z.string() })

/**
 * Locks a volume for this process until disposed. Problem: `volume-locked` names the holder. The
 * kernel holds the lock, via SQLite (Node has no flock), so it ends with its process, however that
 * ends. The file beside it only names the holder.
 */
export function lockVolume(dir: string): Disposable {
  const facts = join(dir, 'holder.json')
  const lock = new DatabaseSync(join(dir, 'lock'), { timeout: handOverMs })
  try {
    // MEMORY: the lock takes no disk space, which a full disk would not have
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    throw isBusy(error) ? heldBy(dir, facts) : error
  }

  try {
    writeFileSync(
      facts,
      JSON.stringify({
        pid: process.pid,
        host: hostname(),
        since: new Date().toISOString(),
      } satisfies z.infer<typeof Holder>),
    )
  } catch (error) {
    // On a full disk the holder stays unnamed.
    if (errorCode(error) !== 'ENOSPC') throw error
  }

  return {
    [Symbol.dispose]() {
      rmSync(facts, { force: true })
      lock.close()
    },
  }
}

function heldBy(dir: string, facts: string): Problem {
  let who = 'another process' // it has just started, or is just ending
  try {
    const found = Holder.safeParse(JSON.parse(readFileSync(facts, 'utf8')))
    if (found.success)
      who = `process ${found.data.pid} on ${found.data.host} since ${found.data.since}`
  } catch (error) {
    if (!(error instanceof SyntaxError) && errorCode(error) !== 'ENOENT') throw error
  }
  return new Problem(
    'volume-locked',
    `The volume ${dir} is locked by ${who}. Stop that gateway first.`,
  )
}
