import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { SandboxResult } from '../host/sandbox/sandbox.ts'
import type { Info, PrepareRequest } from './plan-request.ts'

/** Why the planner made no plan, and whether a retry may help. */
export class PlannerFailure extends Problem {
  readonly isRetryable: boolean

  constructor(code: ProblemCode, detail: string, more: { planner: string; isRetryable: boolean }) {
    super(code, detail, { facts: { planner: more.planner } })
    this.isRetryable = more.isRetryable
  }
}

/**
 * Explains why railpack made no plan. Its exit code is not enough: a failed look-up and a bad
 * source end alike.
 */
export function classifyFailure(
  ended: SandboxResult,
  info: Info,
  request: PrepareRequest,
): PlannerFailure {
  const { planner, tree, network } = request
  const errors = info.logs.filter(({ Level }) => Level === 'error').map(({ Msg }) => Msg)
  const words = (errors.join('\n') || ended.stderr.trim() || ended.stdout.trim()).slice(
    -maxWordsChars,
  )
  const refusal = (code: ProblemCode, detail: string, isRetryable = false) =>
    new PlannerFailure(code, detail, { planner: planner.version, isRetryable })

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
  if (words.includes('could not determine how to build the app'))
    return refusal('no-builder-found', nothingFound(tree))
  // railpack gives the same message for a version that does not exist and for a look-up without
  // network.
  return refusal(
    'plan-failed',
    words,
    network !== null && words.includes('failed to resolve version'),
  )
}

const maxWordsChars = 4_000
const goPanic = 2 // a bug in railpack that this source triggers

function nothingFound(tree: SourceTree): string {
  const root = tree.entries.filter(({ path }) => !path.includes('/')).map(({ path }) => path)
  const shown =
    root.length > maxShown ? [...root.slice(0, maxShown), `${root.length - maxShown} more`] : root
  return `Nothing at the root of the source says how to build it. Looked for ${lookedFor}. There is ${shown.join(', ')}. Add one of them, or send the folder that holds it.`
}

const maxShown = 20
const lookedFor =
  'Dockerfile, railpack.json, package.json, requirements.txt, pyproject.toml, Pipfile, main.py, app.py, go.mod, Cargo.toml, Gemfile, composer.json, index.php, pom.xml, gradlew, mix.exs, deno.json, *.csproj, gleam.toml, CMakeLists.txt, Staticfile, public/, index.html, start.sh'
