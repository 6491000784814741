import { randomUUID } from 'node:crypto'
import { type NewPreview, Preview, previewOptions } from '#api/previews/preview.ts'
import { writePreviewQuery } from '#api/previews/preview-query.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { type DeploymentRecord, readAnswer } from '../answers.ts'
import { dryRun } from '../deploy/dry-run.ts'
import { readSecrets } from '../deploy/read-secrets.ts'
import { folderToSend } from '../deploy/send-folder.ts'
import { type FolderCommand, openFolder, type OpenFolder } from '../deploy/source-folder.ts'
import { followToEnd } from '../follow-deployment.ts'
import { leftOutHint } from '../ignore/left-out.ts'
import type { Interrupted } from '../print.ts'
import type { Door } from '../sending/send-source.ts'
import { uploadForm } from '../sending/upload-form.ts'
import { type Inputs, processInputs, readValues } from '../runtime/read-values.ts'
import { askPreview, type Calling } from './preview-calls.ts'
import type { CreateRequest } from './read-preview.ts'
import { untilText } from './render-previews.ts'

type Made = { preview: Preview; leftOut: Parameters<typeof leftOutHint>[0] | null }

/** Makes a preview of a folder or of what exists, and follows it until it is ready. Returns the exit code. */
export async function makePreview(request: CreateRequest, calling: Calling): Promise<number> {
  const { gateway, printer, signal } = calling
  const { folder, asked } = request
  const command = folder === null ? null : { ...request, folder, app: asked.app, options: asked }
  const opened = command && (await openFolder(command, 'preview', printer.note))
  if (opened && command.dryRun) return dryRun(opened, command, printer)
  const secrets = await secretsOf(request, processInputs)
  const made = opened
    ? await send(opened, command, secrets, calling)
    : await makeOf(asked, secrets, calling)
  const { preview, leftOut } = made
  const { id, app, owner } = preview
  const from = preview.fromPool ? ', from the pool' : ''
  const whose = `${id} of ${app} for ${owner}${from}`
  printer.progress({ preview }, `${whose}: it is gone at ${preview.expiresAt}`)
  if (signal.aborted) return printer.interrupted(await destroyed(id, calling))
  if (request.detach) return printer.result({ preview }, [id])

  const deployment = await gateway.find(preview.deployment, signal)
  // The deployment that made it is over, and its log is of nobody's interest.
  if (preview.fromPool) return finish(deployment, made, calling)
  return followToEnd(deployment, gateway, printer, {
    signal,
    onInterrupt: () => destroyed(id, calling),
    onEnd: (ended) => finish(ended, made, calling),
    ...(leftOut && { hint: (words: string) => leftOutHint(leftOut, words) }),
  })
}

/** Prints the address of a preview that is ready, or why it is not. */
async function finish(
  deployment: DeploymentRecord,
  { preview: { id }, leftOut }: Made,
  calling: Calling,
): Promise<number> {
  const { printer } = calling
  const preview = await askPreview(calling, ['GET', 'preview', id])
  if (deployment.state === 'live' && preview.ending === null) {
    for (const text of deployment.warnings ?? []) printer.note(`warning: ${text}`)
    printer.note(untilText(preview, Date.now()))
    const { url, state } = preview
    return printer.result({ id, state, url, preview }, [url ?? id])
  }
  const { state, problem } = deployment
  const words = JSON.stringify([problem?.detail, problem?.['lastLines']])
  const hint = state === 'build_failed' && leftOut ? leftOutHint(leftOut, words) : null
  const why = preview.ending?.why ?? 'failed'
  const gone = `${id} is ${preview.state} (${why}): the gateway leaves nothing of it on Fly. tarmac preview show ${id} has the facts.`
  if (state === 'live') return printer.failed(new Problem('preview-over', gone))
  return printer.verdict(deployment, hint ? `${hint}\n${gone}` : gone, 'the same command')
}

/** After an interrupt a preview is of no use to anybody. */
async function destroyed(id: string, { gateway, printer }: Calling): Promise<Interrupted> {
  printer.note(`destroying ${id}; a second Ctrl-C exits at once`)
  const signal = AbortSignal.timeout(10_000)
  const path = fill(routes.preview, { id })
  const asked = await gateway.ask('DELETE', path, signal).catch((error: unknown) => error)
  if (asked instanceof Error)
    return {
      text: `${id} may still start: ${asked.message} To destroy it: tarmac preview destroy ${id}`,
    }
  return {
    text: `The gateway destroys ${id}. To see when it is gone: tarmac preview show ${id}`,
  }
}

async function makeOf(
  asked: NewPreview,
  secrets: Map<string, string>,
  { gateway, signal }: Calling,
): Promise<Made> {
  const body = { ...asked, ...(secrets.size > 0 && { secrets: Object.fromEntries(secrets) }) }
  const answer = await gateway.create(routes.previews, signal, body)
  return { preview: readAnswer(Preview, answer), leftOut: null }
}

async function send(
  opened: OpenFolder,
  command: FolderCommand & Pick<CreateRequest, 'asked'>,
  secrets: Map<string, string>,
  calling: Calling,
): Promise<Made> {
  const { printer } = calling
  const { facts, leftOut, sender, done } = await folderToSend(opened, command, calling)
  const known = Object.entries(facts).filter(([name]) => name in previewOptions.shape)
  const asked = { ...command.asked, ...opened.options, ...Object.fromEntries(known) }
  const sending = sender(doorOf(asked, secrets))
  const preview = await sending.send().catch((error: unknown) => {
    const isRefusal = error instanceof Problem && error.code !== 'not-ready'
    if (sending.hasBegun && !isRefusal)
      printer.note(
        `The gateway may have accepted the preview: tarmac preview ls ${asked.app} --owner ${asked.owner}`,
      )
    throw error
  })
  done()
  return { preview, leftOut }
}

/** The gateway's door for previews. */
const doorOf = (asked: NewPreview, secrets: Map<string, string>): Door<Preview> => ({
  app: asked.app,
  path: routes.previews,
  key: randomUUID(),
  form: () => uploadForm(writePreviewQuery(asked), secrets),
  fields: () => ({ ...asked, secrets: Object.fromEntries(secrets) }),
  read,
  // Its record does not say it.
  digestOf: () => null,
  find: () => Promise.resolve(null),
})

function read(answer: string): Preview {
  let made: unknown = null
  try {
    made = JSON.parse(answer)
  } catch {} // no gateway answers so
  return readAnswer(Preview, made)
}

const isTyped = (secret: string) => secret.endsWith('=-')

/** Secrets of the command line: names with values elsewhere, and a `.env` file, whose values they replace. */
export async function secretsOf(
  { secrets: args, file }: Pick<CreateRequest, 'secrets' | 'file'>,
  inputs: Inputs,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Map<string, string>> {
  const typed = args.filter(isTyped)
  const read =
    typed.length > 0 || file !== null
      ? await readValues({ args: typed, file, mayAsk: false }, inputs)
      : new Map<string, string>()
  return new Map([
    ...read,
    ...readSecrets(
      args.filter((arg) => !isTyped(arg)),
      env,
    ),
  ])
}
