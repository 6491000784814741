/** A build step that runs until the test ends it: no test guesses how long a build takes. */
import { readdirSync, readFileSync } from 'node:fs'
import { kill } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Files, pageApp } from './lab-actions.ts'

let steps = 0

/**
 * An app whose build stays in one step until `release` is called. The step is like no other: BuildKit
 * takes the result of an equal step from its cache, also that of another app.
 */
export function heldApp(text: string, ...lines: string[]) {
  const seconds = `${3600 + ++steps}.${process.pid}`
  return {
    files: pageApp(text, ...lines, `RUN sleep ${seconds} || true`) satisfies Files,

    /** Waits until the step runs, and ends it with success. */
    async release(): Promise<void> {
      for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
        const running = pidsOf(`sleep\0${seconds}\0`)
        for (const pid of running) kill(pid, 'SIGTERM')
        if (running.length > 0) return
      }
      throw new Error(`the step sleep ${seconds} did not start within a minute`)
    },
  }
}

/** Steps run in namespaces of their own, whose processes the machine's root sees. */
const pidsOf = (command: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandOf(pid) === command)
    .map(Number)

function commandOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return undefined // it has ended meanwhile
  }
}
