import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import type { SandboxResult } from '../host/sandbox/sandbox.ts'
import type { Info, PrepareRequest } from './plan-request.ts'

type FailureFacts = { planner: string; isRetryable: boolean; info: Info }

/** Why the planner made no plan, whether a retry may help, and what the planner said. */
export class PlannerFailure extends Problem {
  readonly isRetryable: boolean
  readonly info: Info

  constructor(code: ProblemCode, detail: string, { planner, isRetryable, info }: FailureFacts) {
    super(code, detail, { facts: { planner } })
    this.isRetryable = isRetryable
    this.info = info
  }
}

/** The names at the root of the source that the planner saw, and whether there are others. */
export type Seen = { names: string[]; isPart: boolean }

/**
 * Explains why railpack made no plan. Its exit code is not enough: a failed look-up and a bad
 * source end alike.
 */
export function classifyFailure(
  ended: SandboxResult,
  info: Info,
  request: PrepareRequest,
  seen: Seen,
): PlannerFailure {
  const { planner, network } = request
  const errors = info.logs.filter(({ Level }) => Level === 'error').map(({ Msg }) => Msg)
  const words = (errors.join('\n') || ended.stderr.trim() || ended.stdout.trim()).slice(
    -maxWordsChars,
  )
  const refusal = (code: ProblemCode, detail: string, isRetryable = false) =>
    new PlannerFailure(code, detail, { planner: planner.version, isRetryable, info })

  if (ended.limitExceeded)
    return refusal(
      'plan-limit',
      `The planner ${ended.limitExceeded} and was stopped. Is the source very large?`,
    )
  if (ended.killedBy !== null)
    return refusal('plan-interrupted', `The planner was killed by ${ended.killedBy}.`, true)
  if (ended.exitCode === 75)
    return refusal('plan-interrupted', `The planner lacks something: ${words}`, true)
  if (errors.length === 0 && ended.exitCode !== goPanic) {
    const advice =
      'It runs in a sandbox without other files of this machine, and every user must be able to run it.'
    const detail = `The planner ${planner.path} gave no answer (exit code ${ended.exitCode}): ${words}. ${advice}`
    return refusal('planner-missing', detail)
  }
  if (words.includes('failed to get latest version for package')) {
    const why = network ? '' : ' It has no network here (TARMAC_PLAN_NETWORK=none).'
    return refusal(
      'plan-interrupted',
      `The planner could not look up a version.${why} ${words}`,
      network !== null,
    )
  }
  // A file that railpack cannot read is only a warning to it, but the cause of what follows.
  const warnings = info.logs.filter(({ Level }) => Level === 'warn').map(({ Msg }) => Msg)
  const cause = warnings.length > 0 ? `${warnings.join('\n').slice(0, maxWordsChars)}\n` : ''
  if (words.includes('could not determine how to build the app'))
    return refusal('no-builder-found', `${cause}${nothingFound(seen)}`)
  // railpack gives the same message for a version that does not exist and for a look-up without
  // network.
  return refusal(
    'plan-failed',
    `${cause}${words}`,
    network !== null && words.includes('failed to resolve version'),
  )
}

const maxWordsChars = 4_000
const goPanic = 2 // a bug in railpack that this source triggers

function nothingFound({ names, isPart }: Seen): string {
  const shown =
    names.length > maxShown
      ? [...names.slice(0, maxShown), `${names.length - maxShown} more`]
      : names
  const hidden = isPart ? ' What .dockerignore or railpack.json excludes does not count.' : ''
  return `Nothing at the root of the source says how to build it. Looked for ${lookedFor}. There is ${shown.join(', ')}.${hidden} Add one of them, or send the folder that holds it.`
}

const maxShown = 20
const lookedFor =
  'Dockerfile, railpack.json, package.json, requirements.txt, pyproject.toml, Pipfile, main.py, app.py, go.mod, Cargo.toml, Gemfile, composer.json, index.php, pom.xml, gradlew, mix.exs, deno.json, *.csproj, gleam.toml, CMakeLists.txt, Staticfile, public/, index.html, start.sh'
