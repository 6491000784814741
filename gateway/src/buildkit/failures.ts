import { status as grpc, type ServiceError } from '@grpc/grpc-js'
import { z } from 'zod'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { secretHint } from '#api/secret.ts'
import { daemonWords } from './daemon-words.ts'
import { RpcStatus } from './messages.ts'
import type { Progress } from './progress.ts'
import type { StepFacts } from './steps/step.ts'
import { exitVerdict, type Verdict } from './steps/step-failures.ts'
import { readStepRecord } from './steps/step-records.ts'

const detailsKey = 'grpc-status-details-bin'
const type = {
  vertex: 'github.com/moby/buildkit/errdefs.Vertex+json',
  exit: 'github.com/moby/buildkit/gatewayapi.ExitMessage+json',
  source: 'github.com/moby/buildkit/errdefs.Source+json',
}
const maxDetailChars = 2000

/** The facts around a failed solve. `changed` is the file that differs from the source tree. */
type SolveContext = {
  progress: Progress
  plain: (text: string) => string
  changed: string | null
  /** The daemon's folder for its cache and step records. Null: unknown. */
  root: string | null
}

/**
 * Turns a failed solve into a Problem: whose fault it is, which step and line failed, and what to
 * do next.
 */
export function solveProblem(
  error: unknown,
  { progress, plain, changed, root }: SolveContext,
): Problem {
  if (!isServiceError(error)) throw error

  if (changed !== null) {
    const detail = `The file ${changed} changed or vanished while the build read it. Deploy again.`
    return new Problem('source-changed', detail, { cause: error, facts: { path: changed } })
  }

  const details = detailsOf(error)
  const exitCode = details.get(type.exit)?.['Code']
  const fullText = plain(error.details)
  const text = fullText.slice(0, maxDetailChars)
  const daemonMessage = { text, words: daemonWords(fullText) }
  if (
    isUnavailable(error) ||
    (typeof exitCode !== 'number' && isSessionLost(error, daemonMessage.words))
  )
    return daemonUnavailable(error)

  const vertex = failedStep(error)
  const step = (vertex === null ? null : progress.step(vertex)) ?? progress.failed()
  const record = root !== null && step?.record ? readStepRecord(root, step.record) : null
  const { code, detail, facts } =
    typeof exitCode === 'number'
      ? exitVerdict({ step: step?.name ?? text, exitCode, words: daemonMessage.words, record })
      : classifyFailure(daemonMessage, step)

  return new Problem(code, detail, {
    cause: error,
    facts: {
      ...(step && { step: step.name }),
      ...facts,
      ...(code === 'build-failed' && sourceFacts(details.get(type.source))),
    },
  })
}

/** The digest of the step that the error of a solve names. Null: it names none. */
export function failedStep(error: unknown): string | null {
  const digest = isServiceError(error) ? detailsOf(error).get(type.vertex)?.['digest'] : null
  return typeof digest === 'string' ? digest : null
}

export const daemonUnavailable = (cause: unknown): Problem =>
  new Problem(
    'buildkit-unavailable',
    'The build daemon does not answer. Try again. If this happens again, its log says why.',
    { cause },
  )

/** The daemon's message, and the same without the quotes from the source. */
type DaemonMessage = { text: string; words: string }

function classifyFailure(daemonMessage: DaemonMessage, step: StepFacts | null): Verdict {
  const { text, words } = daemonMessage
  // Errors in the Dockerfile contain its own words without quotes, so no other pattern may match
  // them.
  if (/^(?:dockerfile parse error|failed to process )/.test(words))
    return { code: 'build-failed', detail: text }

  if (/(?:^|: )no space left on device(?:: unknown)?$/i.test(words)) {
    return {
      code: 'no-space',
      detail: `The build daemon found no space left on a device. (${text})`,
    }
  }

  if (/^failed to push |^error writing (?:layer|manifest|config)/.test(words))
    return pushVerdict(daemonMessage)

  const secret = /(?:^|: )secret (\S+): not found$/.exec(words)?.[1]
  if (secret) {
    const detail = `The build needs the secret ${secret}, which is not set. ${secretHint(secret)}`
    return { code: 'build-failed', detail, facts: { secrets: [secret] } }
  }

  const image = imageOf(words, step)
  if (image !== null) return pullVerdict(image, daemonMessage)

  const missing = /failed to calculate checksum of ref \S+: (".*"): not found/.exec(text)
  if (missing) {
    const detail = `The build copies ${missing[1]}, which the source does not have. Does .dockerignore or .gitignore exclude it?`
    return { code: 'build-failed', detail }
  }

  return { code: 'build-failed', detail: text }
}

/** Reasons why a push fails, found in the daemon's message. The first match wins. */
const pushFailures: [RegExp, ProblemCode, string][] = [
  [
    /: 403 |denied|insufficient_scope/i,
    'registry-denied',
    'the gateway’s login may not push to this app',
  ],
  [/: 401 |authoriz/i, 'registry-denied', 'it does not know the gateway’s login; check its token'],
  [
    /: 404 |name unknown|name not known|NAME_UNKNOWN/i,
    'registry-unavailable',
    'it has no such app',
  ],
  [/: 429 |toomanyrequests/i, 'registry-unavailable', 'it gets too many requests; try again later'],
  [/: 5\d\d /, 'registry-unavailable', 'it has an internal error; try again later'],
]

function pushVerdict({ text, words }: DaemonMessage): Verdict {
  const reason = withoutNames(words.replace(/^failed to push \S+:/, ''))
  const found = pushFailures.find(([fits]) => fits.test(reason))
  const [, code, why] = found ?? [
    null,
    'registry-unavailable' as const,
    'the connection broke; try again',
  ]
  const status = /: ([45]\d\d) /.exec(reason)?.[1]
  const facts = { registryStatus: status ? Number(status) : null }
  return { code, detail: `The registry did not accept the image: ${why}. (${text})`, facts }
}

/** Removes URLs: they contain names of apps and images, which are not the daemon's own words. */
const withoutNames = (words: string) => words.replace(/https?:\/\/\S*?(?=:?(?:\s|$))/g, '')

/** The daemon's message about a failed request to a registry. */
const requestPattern =
  /(?:^|: )(?:failed to do request: [A-Z][a-z]+ "|unexpected status from [A-Z]+ request to )https?:\/\/([^/\s]+)\/v2\/(\S+)\/(?:manifests|blobs)\/([\w.:-]*\w)/

/**
 * The image that could not be read, if that is the failure. The frontend, the step or the request
 * names it.
 */
function imageOf(words: string, step: StepFacts | null): string | null {
  const named =
    /^(?:\S+: )?failed to resolve source metadata for (\S+): /.exec(words) ??
    /^(?:docker-image:\/\/|\[internal\] load metadata for )(\S+)$/.exec(
      (step?.source && step.name) || '',
    ) ??
    /^failed to load cache key: (\S+): not found/.exec(words)
  if (named) return named[1]!
  const request = requestPattern.exec(words)
  return (
    request && `${request[1]}/${request[2]}${request[3]!.includes(':') ? '@' : ':'}${request[3]}`
  )
}

function pullVerdict(image: string, { text, words }: DaemonMessage): Verdict {
  const reason = withoutNames(
    words.replace(/^\S+: (?=failed to resolve )/, '').replaceAll(image, ''),
  )
  if (/: not found|denied|authoriz|manifest unknown|name unknown|\b40[134]\b/i.test(reason)) {
    const detail = `The image ${image} does not exist or is not public. Check its name and tag. (${text})`
    return { code: 'image-not-found', detail, facts: { image } }
  }
  return {
    code: 'registry-unavailable',
    detail: `The image ${image} could not be fetched. Try again. (${text})`,
    facts: { image },
  }
}

/** The failed line of the Dockerfile. Empty if the build has no Dockerfile. */
function sourceFacts(detail: Detail | undefined): {
  source?: { file: string; line: number; text: string }
} {
  const { info, ranges } = SourceDetail.safeParse(detail).data ?? {}
  const line = ranges?.[0]?.start?.line
  if (!info || !line) return {}
  const lines = Buffer.from(info.data ?? '', 'base64')
    .toString()
    .split('\n')
  return { source: { file: info.filename ?? '', line, text: lines[line - 1] ?? '' } }
}

export const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && 'details' in error && 'metadata' in error

/** The daemon is gone or shuts down. Neither the source nor the registry is at fault. */
function isUnavailable({ code, metadata }: ServiceError): boolean {
  if (code === grpc.UNAVAILABLE && metadata.get(detailsKey).length === 0) return true
  return code === grpc.CANCELLED
}

/** The daemon waited for the gateway's session, and did not find it. */
const isSessionLost = ({ code }: ServiceError, words: string) =>
  code === grpc.DEADLINE_EXCEEDED && /(?:^|: )no active session for \S+: /.test(words)

type Detail = z.infer<typeof Detail>
const Detail = z.record(z.string(), z.unknown())
/** As Go writes it: what is empty is left out. */
const SourceDetail = z.object({
  info: z.object({ filename: z.string().optional(), data: z.string().optional() }).optional(),
  ranges: z
    .array(z.object({ start: z.object({ line: z.number().optional() }).optional() }))
    .optional(),
})

function detailsOf(error: ServiceError): Map<string, Detail> {
  const found = new Map<string, Detail>()
  const [trailer] = error.metadata.get(detailsKey)
  if (!(trailer instanceof Buffer)) return found
  for (const detail of RpcStatus.decode(trailer).details) {
    if (!Object.values(type).includes(detail.type) || found.has(detail.type)) continue
    const { data } = Detail.safeParse(JSON.parse(Buffer.from(detail.value).toString()))
    if (data) found.set(detail.type, data)
  }
  return found
}
