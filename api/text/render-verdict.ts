import { type Crash, type Deployment, isFinal } from '../deployment.ts'
import { type ProblemCode, problems } from '../problem/codes.ts'
import { type DeploymentCost, moneyText } from '../status/cost.ts'
import { faultTexts } from '../problem/fault-texts.ts'
import { shortStep } from './short-step.ts'
import { tellingLines } from './telling-lines.ts'
import { visible, visibleLines } from './visible-text.ts'

/** With the verdict, its cause, whose fault it is, and the next step, these are ten lines. */
const lastLinesShown = 6

type VerdictProblem = { code?: string; title: string; detail: string; [fact: string]: unknown }
type Verdict = Pick<Deployment, 'id' | 'app' | 'state' | 'url'> & {
  owner?: string | null
  release?: number | null
  image: { reference: string } | null
  problem: VerdictProblem | null
  crashes?: Crash[] | undefined
  machines?: { id: string; warning?: string | undefined }[] | undefined
  cost?: DeploymentCost | null | undefined
  warnings?: string[] | undefined
}

/** The commands that a reader can run next. */
export type NextCommands = {
  log: (id: string) => string
  retry: (id: string) => string
  rollback: (app: string, owner: string | null) => string
}

const curl = 'curl -H "Authorization: Bearer $T"'
export const curlCommands: NextCommands = {
  log: (id) => `${curl} $GATEWAY/v1/deployments/${id}/log`,
  retry: (id) => `${curl} -X POST $GATEWAY/v1/deployments/${id}/retry`,
  rollback: (app, owner) =>
    `${curl} -X POST ${owner ? `"$GATEWAY/v1/apps/${app}/rollback?owner=${owner}"` : `$GATEWAY/v1/apps/${app}/rollback`}`,
}

export const clientCommands: NextCommands = {
  log: (id) => `tarmac follow ${id}`,
  retry: (id) => `tarmac retry ${id}`,
  rollback: (app, owner) => `tarmac rollback ${app}${owner ? ` --owner ${owner}` : ''}`,
}

/**
 * Renders the last lines. Of a failure: what the program printed last, the verdict, its cause, who
 * can fix it, and what to do next. Of a live app: its release, the verdict, warnings of its machines,
 * and the URL.
 */
export function renderVerdict(deployment: Verdict, commands = curlCommands): string {
  const { id, state, app, problem, image, url, release } = deployment
  if (!isFinal(state)) return `\n${visible(`${state}: deployment ${id} continues`)}\n`

  const head = `${state}: ${app}, deployment ${id}`
  const lines = problem
    ? [...lastLines(problem), head, ...renderProblem(problem), nextStep(deployment, commands)]
    : [head]
  if (state === 'live' && release) lines.unshift(renderRelease(deployment, release, commands))
  if (!problem && state === 'built' && image) lines.push(image.reference)
  if (state === 'live') lines.push(...allWarnings(deployment))
  lines.push(...costOf(deployment))
  if (state === 'live' && url) lines.push(url)
  return `\n${lines.map((line) => `${visibleLines(line)}\n`).join('')}`
}

/** Only where the price is known. */
const costOf = ({ cost }: Verdict): string[] =>
  cost?.currency && cost.amount !== null
    ? [`cost: ${moneyText(cost.amount, cost.currency)} (${cost.machineSeconds} machine-seconds)`]
    : []

const machineWarnings = ({ machines = [] }: Verdict): string[] =>
  machines.flatMap(({ id, warning }) => (warning ? [`warning: Machine ${id}: ${warning}`] : []))

export const allWarnings = (deployment: Verdict): string[] => [
  ...(deployment.warnings ?? []).map((text) => `warning: ${text}`),
  ...machineWarnings(deployment),
  ...crashWarnings(deployment),
]

const crashWarnings = ({ release, crashes = [] }: Verdict): string[] =>
  crashes.flatMap(({ machine, lastAt, why, endedAt }) =>
    endedAt === null
      ? [`warning: Release ${release} is degraded: machine ${machine} ${why}, at ${lastAt}`]
      : [],
  )

/** The release that was made, and how to undo it. There is nothing before the first one. */
function renderRelease({ app, owner }: Verdict, release: number, commands: NextCommands): string {
  const undo = release > 1 ? `; to undo it: ${commands.rollback(app, owner ?? null)}` : ''
  return `release ${release} of ${app}${undo}`
}

/** Renders the refusal of a request, or why the gateway no longer waits with the caller. */
export function renderRefusal(problem: VerdictProblem): string {
  const { code, retry, deployment } = problem
  const goesOn = code === 'stopping' && typeof deployment === 'string'
  const lines = [
    goesOn ? `not known yet: deployment ${deployment} continues` : `refused: ${code}`,
    ...renderProblem(problem),
    ...(retry === true && !goesOn ? ['Next: send it again later.'] : []),
    ...requestOf(problem),
  ]
  return lines.map((line) => `${visibleLines(line)}\n`).join('')
}

/** The id by which the operator finds an inner error in the gateway's log. */
const requestOf = ({ code, requestId }: VerdictProblem): string[] =>
  code === 'internal' && typeof requestId === 'string' ? [`Request: ${requestId}`] : []

/** What failed and why, then who can fix it. */
function renderProblem(problem: VerdictProblem): string[] {
  const fault = faultTextOf(problem)
  return [`${problem.title}. ${detailOf(problem)}`, ...(fault === null ? [] : [fault])]
}

/** Why it failed, with a short name of the step. */
export const detailOf = ({ step, detail }: VerdictProblem): string =>
  typeof step === 'string' ? detail.replace(step, () => shortStep(step)) : detail

/** Who can fix it. Null: it is nobody's fault. */
export function faultTextOf({ code }: VerdictProblem): string | null {
  const row = code === undefined || !isKnown(code) ? null : problems[code]
  const isNobodysFault = code === 'cancelled' || code === 'superseded'
  return row && !isNobodysFault ? faultTexts[row.fault] : null
}

/** What the program printed last. */
export function lastLinesOf(problem: VerdictProblem): string[] {
  const all: unknown = problem['lastLines']
  return Array.isArray(all) ? tellingLines(all.map(String), lastLinesShown) : []
}

const lastLines = (problem: VerdictProblem) => lastLinesOf(problem).map((line) => `   | ${line}`)

export function nextStep(deployment: Verdict, commands: NextCommands): string {
  const { id, state } = deployment
  const code = deployment.problem?.code ?? ''
  const row = isKnown(code) ? problems[code] : null
  const wholeLog = `The whole log: ${commands.log(id)}`
  if (state === 'cancelled') return `Next: ${commands.retry(id)} deploys it all the same.`
  const newer: unknown = deployment.problem?.['supersededBy']
  if (state === 'superseded')
    return typeof newer === 'string' ? `Next: see the newer one: ${commands.log(newer)}` : wholeLog
  if (row?.retry) return `Next: try again: ${commands.retry(id)}`
  if (row?.fault === 'source' || row === null)
    return `Next: correct it, and deploy again. ${wholeLog}`
  return `Next: ask the operator of the gateway. ${wholeLog}`
}

const isKnown = (code: string): code is ProblemCode => Object.hasOwn(problems, code)
