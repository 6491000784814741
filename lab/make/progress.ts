/**
 * Shows set-up to a person: each long step's name, its current work, its duration, and the end of
 * its output when it fails.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const sayAgainMs = 10_000
const linesOnFailure = 20

export interface Step {
  /** Prints the step's current work. */
  say: (doing: string) => void
  /**
   * Runs a program to its end and returns its standard output. The error of a failed program holds
   * its last lines.
   */
  run: (command: string[], options?: { cwd?: string; env?: NodeJS.ProcessEnv }) => Promise<string>
}

/** Does one long step. Prints its beginning, a sign of life every ten seconds, and its duration. */
export async function step<T>(name: string, work: (step: Step) => Promise<T>): Promise<T> {
  const started = Date.now()
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`
  let doing = ''
  let latest = ''
  const again = setInterval(
    () => console.log(`${name}: ${doing}, ${seconds()} ${latest.slice(0, 80)}`),
    sayAgainMs,
  )
  try {
    const made = await work({
      say(now) {
        ;[doing, latest] = [now, '']
        console.log(`${name}: ${now}`)
      },
      run: (command, options = {}) => runProgram(command, options, (line) => (latest = line)),
    })
    console.log(`${name}: done in ${seconds()}`)
    return made
  } finally {
    clearInterval(again)
  }
}

async function runProgram(
  command: string[],
  { cwd, env }: { cwd?: string; env?: NodeJS.ProcessEnv },
  onLine: (line: string) => void,
): Promise<string> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const last: string[] = []
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      onLine(line)
      last.push(line)
      if (last.length > linesOnFailure) last.shift()
    })
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject).on('close', resolve)
  const code = await promise
  if (code === 0) return output
  throw new Error(`\`${command.join(' ')}\` ended with ${code}:\n${last.join('\n')}`)
}
