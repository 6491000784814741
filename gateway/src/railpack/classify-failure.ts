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
    return refusal(
      'plan-interrupted',
      `The planner could not download a program that it needs: ${words}`,
      true,
    )
  if (errors.length === 0 && ended.exitCode !== goPanic) {
    const advice =
      'It runs in a sandbox without other files of this machine, and every user must be able to run it.'
    const detail = `The planner ${planner.path} gave no answer (exit code ${ended.exitCode}): ${words}. ${advice}`
    return refusal('planner-missing', detail)
  }
  const [said = words] = errors // whole: `words` may lack its beginning
  if (isLookUpFailure(said)) {
    const why = network
      ? ' This is not the fault of the source, if its versions exist: the planner asks mise-versions.jdx.dev, GitHub or, for PHP, Docker Hub.'
      : ' It has no network here (TARMAC_PLAN_NETWORK=none).'
    return refusal(
      'plan-interrupted',
      `The planner could not look up a version.${why}\n${words}`,
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
  const isUnknown = said.startsWith('failed to resolve version')
  const doubt = isUnknown ? `\n${mayBeOutage}` : oldPhp(said) ? `\n${noOldPhp}` : ''
  return refusal('plan-failed', `${cause}${words}${doubt}`, network !== null && isUnknown)
}

/**
 * Whether railpack's message says that a look-up failed: of mise at GitHub and other hosts, or of
 * railpack itself at Docker Hub (railwayapp/railpack core/mise/mise.go, core/resolver/resolver.go,
 * core/providers/php/php.go). The message begins with railpack's own words; what follows may be the
 * source's.
 */
const isLookUpFailure = (said: string): boolean =>
  /^failed to (?:get latest version for package|run mise command) /.test(said) ||
  (said.startsWith('no version available for ') && !oldPhp(said))

/**
 * railpack takes the newest PHP for which Docker Hub has an image of FrankenPHP, and reads an outage
 * as "no image". FrankenPHP has none of PHP before 8.2, so only then it is no outage.
 */
function oldPhp(said: string): boolean {
  const [, major, minor] = /^no version available for php \D*(\d+)(?:\.(\d+))?/.exec(said) ?? []
  if (major === undefined) return false
  return Number(major) < 8 || (Number(major) === 8 && minor !== undefined && Number(minor) < 2)
}

const noOldPhp =
  'railpack uses images of FrankenPHP, which has none of PHP before 8.2. Set another version ("require": {"php": …} in composer.json), or send a Dockerfile.'
const mayBeOutage =
  'Set a version that exists. If it does exist, the hosts that list versions do not answer: deploy again later.'

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
