import type { DeploymentEvent } from '#api/event.ts'
import { type ProblemCode, problems } from '#api/problem/codes.ts'
import { type ExitCode, exitCodeOf } from '#api/problem/exit-codes.ts'
import type { Problem } from '#api/problem.ts'
import { faultTexts } from '#api/problem/fault-texts.ts'
import { renderEvent } from '#api/text/render-event.ts'
import { clientCommands, renderVerdict } from '#api/text/render-verdict.ts'
import { visible, visibleJson, visibleLines } from '#api/text/visible-text.ts'
import type { DeploymentRecord } from './answers.ts'
import { progressForPeople, progressForPrograms, type SendingProgress } from './sending/progress.ts'

/** Prints the progress of a command. Methods that end the command return its exit code. */
export type Printer = {
  note: (text: string) => void
  /** Shows how far a source is on its way. */
  sending: () => SendingProgress
  accepted: (deployment: DeploymentRecord, address: string) => void
  event: (event: DeploymentEvent, deployment: DeploymentRecord) => void
  detached: (deployment: DeploymentRecord, address: string) => ExitCode
  /** `hint`: what a user should know about this failure. `retry`: how to try again. */
  verdict: (deployment: DeploymentRecord, hint?: string | null, retry?: string) => ExitCode
  /** `did`: whether the command has cancelled the deployment. */
  cancelled: (deployment: DeploymentRecord, did: boolean) => ExitCode
  /** A step on the way: `facts` for programs, `text` for people. */
  progress: (facts: object, text: string) => void
  /**
   * What a program has printed, as it is, but a terminal or a CI job executes nothing in it. `lines`: the
   * same for programs.
   */
  output: (printed: { stdout: string; stderr: string }, lines?: object[]) => void
  /** Shows these lines in place of those shown before. Null: only a terminal can. */
  screen: ((lines: string[]) => void) | null
  /** `facts` for programs, `lines` of standard output for people. */
  result: (facts: object, lines: string[], exitCode?: number) => number
  /** `reader`: to the operator, the message itself says whose fault it is. */
  failed: (problem: Problem, reader?: 'sender' | 'operator') => ExitCode
  interrupted: (ended: Interrupted) => ExitCode
}
/** What to print after an interrupt. `deployment`: its record, where the gateway still gave it. */
export type Interrupted = { text: string; deployment?: DeploymentRecord | null }

const say = (text: string) => void process.stderr.write(text)
const note = (text: string) => say(`tarmac: ${visibleLines(text)}\n`)

/** For people: progress on stderr, and only the URL on stdout. */
export function peoplePrinter(isTerminal: boolean): Printer {
  return {
    note,
    sending: () => progressForPeople(say, note, isTerminal),
    accepted: ({ id, app }, address) =>
      say(`${visible(`deployment ${id} of ${app}: ${address}`)}\n`),
    event: (event, { createdAt }) => say(renderEvent(event, createdAt)),
    detached({ id }, address) {
      note(`the gateway has accepted deployment ${id}; to follow it: tarmac follow ${id}`)
      process.stdout.write(`${visible(address)}\n`)
      return 0
    },
    verdict(deployment, hint, retry) {
      const commands = retry ? { ...clientCommands, retry: () => retry } : clientCommands
      say(renderVerdict({ ...deployment, url: null }, commands))
      if (hint) note(hint)
      if (deployment.state === 'live' && deployment.url)
        process.stdout.write(`${visible(deployment.url)}\n`)
      return exitCodeFor(deployment)
    },
    cancelled(deployment, did) {
      note(cancelText(deployment, did))
      return cancelCode(deployment, did)
    },
    progress: (_facts, text) => note(text),
    output({ stdout, stderr }) {
      process.stdout.write(shown(stdout, process.stdout.isTTY))
      process.stderr.write(shown(stderr, isTerminal))
    },
    screen: process.stdout.isTTY ? (lines) => void process.stdout.write(screenOf(lines)) : null,
    result(_facts, lines, exitCode = 0) {
      process.stdout.write(lines.map((each) => `${visible(each)}\n`).join(''))
      return exitCode
    },
    failed(problem, reader = 'sender') {
      const { fault } = problems[problem.code]
      note(problem.message)
      if (reader === 'sender' && fault !== 'source') note(faultTexts[fault])
      return exitCodeOf[problem.code]
    },
    interrupted({ text }) {
      say(isTerminal ? '\n' : '')
      note(text)
      return 130
    },
  }
}

const shown = (text: string, isTerminal: boolean): string =>
  isTerminal || process.env['CI'] ? text.split('\n').map(visible).join('\n') : text

/** From the top left corner, each line to its end, and nothing below. */
const screenOf = (lines: string[]): string =>
  `\x1b[H${lines.map((each) => `${visible(each)}\x1b[K\n`).join('')}\x1b[J`

type Result = {
  state?: string
  id?: string
  app?: string
  url?: string | null
  image?: string | null
}

const line = (body: object) => void process.stdout.write(`${visibleJson({ v: 1, ...body })}\n`)
const now = () => new Date().toISOString()
const facts = ({ state, id, app, url, image }: DeploymentRecord): Result => ({
  state,
  id,
  app,
  url,
  image: image?.reference ?? null,
})

/**
 * For programs: one JSON object per line on stdout. Events as in the log; the last line has `type:
 * "result"`.
 */
export function jsonPrinter(): Printer {
  let last: Result = {}
  const result = <Code extends number>(
    exitCode: Code,
    more: Result & { problem?: object | null; text?: string; answer?: object } = {},
  ) => {
    line({ type: 'result', t: now(), exitCode, ...last, problem: null, ...more })
    return exitCode
  }
  return {
    note: (text) => line({ type: 'client', t: now(), text }),
    sending: () =>
      progressForPrograms(
        (sums) => line({ type: 'uploaded', t: now(), ...sums }),
        (text) => line({ type: 'client', t: now(), text }),
      ),
    accepted(deployment, address) {
      last = facts(deployment)
      line({ type: 'accepted', t: now(), id: deployment.id, app: deployment.app, address })
    },
    event({ seq, at, ...event }) {
      if (event.type === 'state') last = { ...last, state: event.state }
      line({ seq, t: at, ...event })
    },
    detached: () => result(0),
    verdict(deployment, hint) {
      const { problem } = deployment
      return result(exitCodeFor(deployment), {
        ...facts(deployment),
        problem,
        ...(hint && { text: hint }),
      })
    },
    cancelled: (deployment, did) =>
      result(cancelCode(deployment, did), {
        ...facts(deployment),
        problem: deployment.problem,
        text: cancelText(deployment, did),
      }),
    progress: (more, text) => line({ type: 'progress', t: now(), text, ...more }),
    output(_printed, lines = []) {
      for (const each of lines) line({ type: 'output', ...each })
    },
    screen: null,
    result: (more, _lines, exitCode = 0) => result(exitCode, more),
    failed: (problem) => result(exitCodeOf[problem.code], { problem: problem.body() }),
    interrupted: ({ text, deployment }) =>
      result(130, { ...(deployment && facts(deployment)), text }),
  }
}

function cancelText({ id, app, state }: DeploymentRecord, did: boolean): string {
  if (did) return `deployment ${id} of ${app} is cancelled`
  return `there is nothing to cancel: deployment ${id} of ${app} has ended (${state})`
}

/** A cancel that could not restore the machines ends as the deployment does. */
function cancelCode(deployment: DeploymentRecord, did: boolean): ExitCode {
  if (did) return 0
  return deployment.problem?.code === 'rollback-failed' ? exitCodeFor(deployment) : 24
}

function exitCodeFor({ state, problem }: DeploymentRecord): ExitCode {
  if (state === 'live' || state === 'built') return 0
  if (state === 'cancelled' || state === 'superseded') return exitCodeOf[state]
  return problem && isProblemCode(problem.code) ? exitCodeOf[problem.code] : 1
}

const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(exitCodeOf, code)
