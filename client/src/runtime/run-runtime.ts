import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { isFinal } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import { fill, routes } from '#api/routes.ts'
import { EnvAnswer, EnvList } from '#api/runtime/env.ts'
import type { ReleasedAgain } from '#api/runtime/released-again.ts'
import {
  BuildSecretsAnswer,
  type ChangedNames,
  RuntimeSecrets,
  SecretsAnswer,
} from '#api/runtime/secrets.ts'
import { SecretFacts } from '#api/secret.ts'
import { Problem } from '#api/problem.ts'
import { readAnswer } from '../answers.ts'
import { followToEnd } from '../follow-deployment.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import type { RuntimeCommand } from './read-runtime.ts'
import { type Inputs, processInputs, readValues } from './read-values.ts'
import { changeText, envTable, secretTable } from './texts.ts'

type Tools = { gateway: Gateway; printer: Printer; signal: AbortSignal }
type Answer = ReleasedAgain & { app: string }
type Of = { app: string; owner: string | null }
type Changed = Answer & ChangedNames & { warnings?: string[] }

const lookMs = 1000
/** How often a change is deployed again after another deployment of the target has ended. */
const maxRounds = 20

/** Runs `tarmac secrets` or `tarmac env`. Returns the exit code. */
export async function runRuntime(
  command: RuntimeCommand,
  tools: Tools,
  inputs: Inputs = processInputs,
): Promise<number> {
  const { name, verb, app } = command
  const again = () => deploySecrets(command, tools)
  if (verb === 'list') return name === 'env' ? listEnv(app, tools) : listSecrets(command, tools)
  if (verb === 'deploy') return finish(await again(), again, tools)

  const values = await valuesOf(command, inputs)
  if (command.build) return changeBuildSecrets(app, values, tools)
  const body = { values: Object.fromEntries(values), deploy: command.deploy }
  const path = name === 'env' ? fill(routes.env, { app }) : secretsPath(command)
  const schema: z.ZodType<Changed> = name === 'env' ? EnvAnswer : SecretsAnswer
  const send = async () =>
    readAnswer(schema, await tools.gateway.ask('PATCH', path, tools.signal, body))
  const answer = await send()
  tools.printer.note(changeText(app, answer))
  for (const text of answer.warnings ?? []) tools.printer.note(text)
  // What is not known to have happened is asked for again: the same change twice is one change.
  return finish(answer, name === 'env' ? send : again, tools)
}

async function valuesOf(
  { verb, name, args, file }: RuntimeCommand,
  inputs: Inputs,
): Promise<Map<string, string | null>> {
  if (verb === 'unset') return new Map(args.map((each) => [each, null]))
  return readValues({ args, file, mayAsk: name === 'secrets' }, inputs)
}

const secretsPath = ({ app, owner }: Of, route: string = routes.runtimeSecrets) =>
  fill(route, { app }) + (owner === null ? '' : `?${new URLSearchParams({ owner }).toString()}`)

async function deploySecrets(of: Of, { gateway, signal }: Tools): Promise<Answer> {
  const path = secretsPath(of, routes.deploySecrets)
  return readAnswer(SecretsAnswer, await gateway.ask('POST', path, signal))
}

async function changeBuildSecrets(
  app: string,
  values: Map<string, string | null>,
  { gateway, printer, signal }: Tools,
): Promise<number> {
  const body = { values: Object.fromEntries(values) }
  const answer = await gateway.ask('PATCH', fill(routes.secrets, { app }), signal, body)
  const changed = readAnswer(BuildSecretsAnswer, answer)
  return printer.result(changed, [`${changeText(app, changed)}. It counts from the next build.`])
}

/** Follows the deployments that a change has made. Waits for others of the same targets first. */
async function finish(first: Answer, again: () => Promise<Answer>, tools: Tools): Promise<number> {
  const { printer } = tools
  let answer = first
  let exitCode = 0
  let isSaid = false
  for (let round = 1; ; round++) {
    for (const text of answer.notes) printer.note(text)
    for (const { id } of answer.deployments) exitCode = (await follow(id, tools)) || exitCode
    const isLast = exitCode !== 0 || round === maxRounds
    const busy = answer.refused.flatMap(({ problem }) => (isLast ? null : busyWith(problem)) ?? [])
    const others = answer.refused.filter(({ problem }) => isLast || busyWith(problem) === null)
    for (const { problem } of others) exitCode = printer.failed(Problem.from(problem))
    isSaid ||= answer.deployments.length + others.length > 0
    if (busy.length === 0) break
    for (const id of busy) await waitFor(id, tools)
    answer = await again()
  }
  return isSaid ? exitCode : printer.result(answer, [])
}

async function follow(id: string, { gateway, printer, signal }: Tools): Promise<number> {
  const deployment = await gateway.find(id, signal)
  printer.accepted(deployment, gateway.recordUrl(id))
  const failedHint =
    'What was changed stays changed: the next deployment gets it. To take it back, set the values from before, or unset what is new.'
  return followToEnd(deployment, gateway, printer, { signal, failedHint })
}

/** The deployment that keeps a target busy. Null: something else is wrong. */
function busyWith({ code, ...facts }: { code: string; [fact: string]: unknown }): string | null {
  const { deployment } = facts
  return code === 'lane-busy' && typeof deployment === 'string' ? deployment : null
}

async function waitFor(id: string, { gateway, printer, signal }: Tools): Promise<void> {
  printer.note(`deployment ${id} has not ended; this goes on when it has`)
  while (!isFinal((await gateway.find(id, signal)).state))
    await sleep(lookMs, undefined, { signal })
}

/** Both kinds in one table. A kind that cannot be read is named, and does not hide the other one. */
async function listSecrets(of: Of, { gateway, printer, signal }: Tools): Promise<number> {
  const { app } = of
  const ask = (path: string) => gateway.ask('GET', path, signal)
  const [runtime, build] = await Promise.allSettled([
    ask(secretsPath(of)).then((answer) => readAnswer(RuntimeSecrets, answer)),
    ask(fill(routes.secrets, { app })).then((answer) => readAnswer(BuildSecrets, answer).secrets),
  ])
  if (runtime.status === 'rejected' && build.status === 'rejected') throw runtime.reason
  for (const settled of [runtime, build])
    if (settled.status === 'rejected') printer.note(errorMessage(settled.reason))
  const known = runtime.status === 'fulfilled' ? runtime.value : null
  const kept = build.status === 'fulfilled' ? build.value : null
  for (const text of known?.warnings ?? []) printer.note(`warning: ${text}`)
  return printer.result(
    { ...(known ?? { app }), secrets: known?.secrets ?? null, build: kept },
    secretTable(known?.secrets ?? [], kept ?? []),
  )
}

async function listEnv(app: string, { gateway, printer, signal }: Tools): Promise<number> {
  const list = readAnswer(EnvList, await gateway.ask('GET', fill(routes.env, { app }), signal))
  return printer.result(list, envTable(list.env))
}

const BuildSecrets = z.object({ secrets: z.array(SecretFacts) })
