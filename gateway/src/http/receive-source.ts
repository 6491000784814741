import { PassThrough, type Readable } from 'node:stream'
import type { Request, Response } from 'express'
import multer, { MulterError } from 'multer'
import { AppName, appNameRule } from '#api/app.ts'
import type { SourceFacts } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { maxSecretBytes } from '#api/secret.ts'
import type { HttpParts } from './http-app.ts'

type Received = { source: SourceFacts; fields: [string, string][]; secrets: Map<string, Buffer> }

/** The app that the address names. */
export function appOf(request: Request): string {
  const app = AppName.safeParse(request.params['app'])
  if (!app.success) throw new Problem('app-name-invalid', appNameRule)
  return app.data
}

/** The body as a source, raw or as a form. Call it when nothing else can be wrong: from here on bytes are asked for. */
export async function receiveSource(request: Request, response: Response, parts: HttpParts): Promise<Received> {
  if (parts.stopping.aborted)
    throw new Problem('stopping', 'The gateway is stopping and takes no uploads; send it again in a moment.')
  parts.admit()
  const announcedBytes = Number(request.headers['content-length'] ?? 0)
  if (announcedBytes > parts.maxUploadBytes) throw tooLarge(parts.maxUploadBytes, announcedBytes)

  const gone = new AbortController()
  const lost = () => gone.abort(new Problem('archive-truncated', 'The line broke before the upload was whole.'))
  response.once('close', lost)
  askForBody(request, response)
  try {
    return request.is('multipart/form-data')
      ? await receiveForm(request, response, parts, gone.signal)
      : { source: await receive(request, apart(request), parts, gone.signal), fields: [], secrets: new Map() }
  } catch (error) {
    throw gone.signal.aborted ? gone.signal.reason : error
  } finally {
    response.off('close', lost)
  }
}

/** Lets a sender go on that waits to hear whether its body is wanted. */
export function askForBody(request: Request, response: Response): void {
  if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue()
}

function receive(request: Request, body: Readable, parts: HttpParts, signal: AbortSignal): Promise<SourceFacts> {
  const contentDigest = request.get('Content-Digest')
  return parts.receive(body, { ...(contentDigest !== undefined && { contentDigest }), signal })
}

/** A body that may be destroyed by who reads it, with the line staying open for the answer. */
function apart(request: Request): Readable {
  const body = new PassThrough().on('error', () => {}) // whoever reads it hears of it; a late error concerns nobody
  request.once('error', (error) => body.destroy(error))
  return request.pipe(body)
}

/** `multipart/form-data`: the file field `source`, options and `secret.NAME` as fields before or after it. */
function receiveForm(request: Request, response: Response, parts: HttpParts, signal: AbortSignal): Promise<Received> {
  return new Promise((resolve, reject) => {
    let source: SourceFacts | undefined
    const form = multer({
      storage: {
        _handleFile(_request, file, done) {
          receive(request, file.stream, parts, signal).then(
            (facts) => {
              source = facts
              done(null, {})
            },
            (error: unknown) => {
              reject(error) // at once: multer would wait for the end of the body
              done(error)
            },
          )
        },
        _removeFile: (_request, _file, done) => done(null), // a tree that no deployment needs is swept
      },
      limits: {
        files: 1,
        fileSize: parts.maxUploadBytes,
        fields: 200,
        fieldSize: maxSecretBytes,
        parts: 201,
        fieldNestingDepth: 0,
      },
    }).single('source')
    form(request, response, (error: unknown) => {
      if (error) return reject(error instanceof MulterError ? formProblem(error, parts.maxUploadBytes) : error)
      if (!source) return reject(new Problem('request-invalid', 'The form has no file field named source.'))
      const all = Object.entries(request.body as Record<string, string | string[]>)
      const fields = all.flatMap(([name, value]) => [value].flat().map((one): [string, string] => [name, one]))
      const secrets = fields
        .filter(isSecret)
        .map(([name, value]): [string, Buffer] => [name.slice(secretPrefix.length), Buffer.from(value)])
      const once = new Map(secrets)
      if (once.size < secrets.length)
        return reject(new Problem('secret-invalid', 'The form gives a secret twice; give it once.'))
      resolve({ source, fields: fields.filter((field) => !isSecret(field)), secrets: once })
    })
  })
}

const secretPrefix = 'secret.'
const isSecret = ([name]: [string, string]) => name.startsWith(secretPrefix)

function formProblem(error: MulterError, maxUploadBytes: number): Problem {
  if (error.code === 'LIMIT_FILE_SIZE') return tooLarge(maxUploadBytes)
  const field = error.field === undefined ? '' : ` (field ${error.field.slice(0, 50)})`
  return new Problem(
    'request-invalid',
    `${error.message}${field}. A form holds one file field, source, and options as fields.`,
    { cause: error },
  )
}

const tooLarge = (limitBytes: number, announcedBytes?: number) =>
  new Problem(
    'archive-too-large',
    `The limit is ${Math.floor(limitBytes / 2 ** 20)} MiB. Leave out what the build does not need, or raise TARMAC_MAX_UPLOAD_MIB.`,
    { facts: { limitBytes, ...(announcedBytes !== undefined && { announcedBytes }) } },
  )
