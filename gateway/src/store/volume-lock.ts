import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Problem } from '#api/problem.ts'

/** A gateway that was told to stop, or killed, may need this long to be gone. */
const handOverMs = 1000

/**
 * Makes a volume this process's own until it is disposed; `volume-held` says who has it. The lock is the kernel's, by way
 * of SQLite (Node has no flock), so it ends with its process, however that ends. The file beside it only says whose it is.
 */
export function lockVolume(dir: string): Disposable {
  const facts = join(dir, 'holder.json')
  const lock = new DatabaseSync(join(dir, 'lock'), { timeout: handOverMs })
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE') // so it takes no room, which a full disk would not have
  } catch (error) {
    lock.close()
    throw (error as { errcode?: number }).errcode === 5 ? heldBy(dir, facts) : error // SQLITE_BUSY
  }
  try {
    writeFileSync(
      facts,
      JSON.stringify({ pid: process.pid, host: hostname(), since: new Date().toISOString() }),
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error // on a full disk it goes unsaid
  }
  return {
    [Symbol.dispose]() {
      rmSync(facts, { force: true })
      lock.close()
    },
  }
}

function heldBy(dir: string, facts: string): Problem {
  let who = 'another process' // which has only just begun, or is just ending
  try {
    const { pid, host, since } = JSON.parse(readFileSync(facts, 'utf8')) as Record<string, string>
    who = `process ${pid} on ${host} since ${since}`
  } catch (error) {
    if (!(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw error
  }
  return new Problem('volume-held', `The volume ${dir} is held by ${who}: stop that gateway first.`)
}
