/** What a person sees of set-up: each long step's name, what it is at, for how long, and the end of its output when it fails. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const sayAgainMs = 10_000
const linesOnFailure = 20

/** Told what the step is at: the whole of it, or the latest line of a program's output. */
export type Say = (doing: string) => void

export async function step<T>(name: string, work: (say: Say) => Promise<T>): Promise<T> {
  const started = Date.now()
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`
  let doing = ''
  const again = setInterval(() => console.log(`${name}: ${seconds()}, ${doing}`), sayAgainMs)
  try {
    const made = await work((now) => {
      doing = now
      console.log(`${name}: ${now}`)
    })
    console.log(`${name}: done in ${seconds()}`)
    return made
  } finally {
    clearInterval(again)
  }
}

export interface Command {
  cwd?: string
  env?: NodeJS.ProcessEnv
}

/** Runs a program to its end; when it fails, the error holds the last lines it wrote. Answers its standard output. */
export async function runProgram(command: string[], { cwd, env }: Command = {}): Promise<string> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const last: string[] = []
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      last.push(line)
      if (last.length > linesOnFailure) last.shift()
    })
  }
  const { promise: code, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject).on('close', resolve)
  const ended = await code
  if (ended === 0) return output
  throw new Error(`\`${command.join(' ')}\` ended with ${ended}:\n${last.join('\n')}`)
}
