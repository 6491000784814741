import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { crashPoint } from '#api/flow/crash-point.ts'
import { endProcess } from '../process.ts'
import { asUser } from './as-user.ts'
import type { Child, ChildResult } from './child.ts'
import { spawnChild } from './spawn-child.ts'

/** Does the work of `runChild`, on this thread. */
export async function runChildHere(child: Child, signal: AbortSignal): Promise<ChildResult> {
  signal.throwIfAborted()
  const { child: running, outputs, ended, cutLifeline } = start(child)
  const killGroup = () => running.pid && endProcess(-running.pid)

  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    killGroup()
  }, child.timeoutMs)

  signal.addEventListener('abort', killGroup)
  const stdio = gather([running.stdout!, running.stderr!], child.maxOutputBytes, killGroup)
  const further = outputs.map((stream, at) => gather([stream], child.outputs?.[at] ?? 0, killGroup))
  const all = [stdio, ...further]

  try {
    const { exitCode, killedBy } = await ended
    killGroup() // processes that it left would keep the pipes open
    await Promise.race([
      Promise.all(all.map((output) => output.ended)),
      new Promise((resolve) => setTimeout(resolve, lingerMs).unref()),
    ])
    signal.throwIfAborted()
    const [stdout = '', stderr = ''] = stdio.texts()
    return {
      exitCode,
      killedBy,
      stdout,
      stderr,
      outputs: further.flatMap((output) => output.texts()),
      truncated: all.some((output) => output.truncated()),
      timedOut,
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', killGroup)
    for (const stream of running.stdio) stream?.destroy()
    cutLifeline()
  }
}

function start({ env, cwd, input, outputs = [], ...program }: Child) {
  const [command = program.command, ...args] = [...asUser(), program.command, ...program.args]
  const started = spawnChild({
    command,
    args,
    env,
    cwd,
    stdin: input === undefined ? 'ignore' : 'pipe',
    stdio: 'pipe',
    outputs: outputs.length,
    end: 'kill',
  })
  started.child.stdin?.on('error', () => {}).end(input) // it may end without reading
  if (outputs.length > 0) crashPoint('planning') // only the planner returns files
  return started
}

/**
 * How long the pipes may stay open after the end, if a process has left the group and holds them.
 */
const lingerMs = 500
/** Collects the output of the streams, up to one limit for all of them. */
function gather(streams: Readable[], maxBytes: number, onTooMuch: () => void) {
  const chunks: Buffer[][] = streams.map(() => [])
  let roomBytes = maxBytes
  let truncated = false

  for (const [at, stream] of streams.entries()) {
    stream.on('data', (chunk: Buffer) => {
      if (roomBytes > 0) chunks[at]?.push(chunk.subarray(0, roomBytes))
      roomBytes -= chunk.length
      if (roomBytes >= 0 || truncated) return
      truncated = true
      onTooMuch()
    })
  }

  return {
    ended: Promise.all(streams.map((stream) => once(stream, 'close'))),
    texts: () => chunks.map((each) => Buffer.concat(each).toString('utf8')),
    truncated: () => truncated,
  }
}
