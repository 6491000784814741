import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import type { Request, Response } from 'express'
import multer, { MulterError } from 'multer'
import type { SourceFacts } from '#api/deployment.ts'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { variableLimits } from '#api/options/variables.ts'
import { unlessAborted } from '#api/flow/retry.ts'
import type { UploadDeps } from '../deps.ts'
import { FormPatience } from './form-patience.ts'
import { receive, type Received, tooLarge } from './received.ts'
import { RequestBody } from './request-body.ts'
import { defaultBodyMs, refuseEncoded } from './small-body.ts'

/** A boundary has at most 70 characters (RFC 2046). Searching for a longer one would be slow. */
const maxTypeLength = 150
const maxFieldNameLength = 200
/** Variables of two kinds (env and build), secrets (100 of an app at most), and other options. */
const maxFields = 2 * variableLimits.count + 200
/** Room for the longest variable: UTF-8 takes at most 4 bytes for a character. */
const maxFieldBytes = 4 * variableLimits.allChars

/**
 * Reads `multipart/form-data`: the file field `source`, options and `secret.NAME` as fields before
 * or after it. Rejects at the first error, without reading the rest of the body.
 */
export async function receiveForm(
  request: Request,
  deps: UploadDeps,
  gone: AbortSignal,
): Promise<Received> {
  refuseEncoded(request)
  if ((request.headers['content-type'] ?? '').length > maxTypeLength)
    throw new Problem(
      'form-invalid',
      `The Content-Type of a form has at most ${maxTypeLength} characters.`,
    )
  gone.throwIfAborted()

  const over = new AbortController()
  const signal = AbortSignal.any([gone, over.signal])
  using patience = new FormPatience(deps.bodyMs ?? defaultBodyMs)
  const file: { facts?: SourceFacts } = {}
  const form = new FormRequest(request.headers)
  const parse = formParser(deps.maxUploadBytes, {
    feed: (parser) => patience.feed(new RequestBody(request), parser),
    async onFile(content) {
      patience.enterFile(content)
      try {
        await deps.beforeFile?.(fieldsOf(form.body).fields)
        file.facts = await receive(request, content, deps, signal)
      } catch (error) {
        patience.refuse(error)
        throw error
      }
    },
  })

  try {
    await unlessAborted(Promise.race([parse(form), patience.refused]), gone)
    if (!file.facts)
      throw new Problem('request-invalid', 'The form has no file field named source.')
    return { source: file.facts, ...fieldsOf(form.body) }
  } catch (error) {
    const problem = formProblem(error, deps.maxUploadBytes)
    over.abort(problem) // stops the reader of the file, if it still reads
    throw problem
  }
}

type FormHandlers = {
  /** Gives the body to the parser. */
  feed: (parser: Writable) => void
  /** Receives the content of the file field. */
  onFile: (content: Readable) => Promise<void>
}

/** A parser for a form with one file field, `source`. It resolves when the whole form is read. */
function formParser(maxUploadBytes: number, { feed, onFile }: FormHandlers) {
  const parse = multer({
    storage: {
      _handleFile: (_request, { stream }, done) =>
        void onFile(stream).then(() => done(null, {}), done),
      _removeFile: (_request, _file, done) => done(null), // the sweep removes unused trees
    },
    limits: {
      files: 1,
      fileSize: maxUploadBytes,
      fields: maxFields,
      fieldSize: maxFieldBytes,
      fieldNameSize: maxFieldNameLength,
      parts: maxFields + 1,
      fieldNestingDepth: 0,
    },
    streamHandler: (_request: unknown, parser: Writable) => feed(parser),
  } as multer.Options).single('source')

  return (request: FormRequest): Promise<void> =>
    new Promise((resolve, reject) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- multer uses only what FormRequest has, and no response
      parse(request as unknown as Request, {} as Response, (error: unknown) =>
        error ? reject(error) : resolve(),
      )
    })
}

/** Stands in for the request in multer, which must not wait for its end. `feed` gives the body. */
class FormRequest extends EventEmitter {
  readonly headers: IncomingHttpHeaders
  readonly readable = false
  readonly readableEnded = false
  body: Record<string, string | string[]> = {}

  constructor(headers: IncomingHttpHeaders) {
    super()
    this.headers = headers
  }

  unpipe(): void {}
  resume(): void {}
}

function fieldsOf(body: Record<string, string | string[]>): Omit<Received, 'source'> {
  const fields = Object.entries(body).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, one]),
  )
  const secretFields = fields
    .filter(isSecret)
    .map(([name, value]): [string, Buffer] => [name.slice(secretPrefix.length), Buffer.from(value)])
  const secrets = new Map(secretFields)
  if (secrets.size < secretFields.length)
    throw new Problem('secret-invalid', 'The form has a secret twice. Send it once.')
  return { fields: fields.filter((field) => !isSecret(field)), secrets }
}

const secretPrefix = 'secret.'
const isSecret = ([name]: [string, string]) => name.startsWith(secretPrefix)

/** Turns an error of multer or its parser, which is the caller's fault, into a Problem. */
function formProblem(error: unknown, maxUploadBytes: number): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof MulterError))
    return new Problem(
      'form-invalid',
      `The form cannot be read: ${errorMessage(error)}. Send multipart/form-data.`,
      { cause: error },
    )
  if (error.code === 'LIMIT_FILE_SIZE') return tooLarge(maxUploadBytes)
  const field = error.field === undefined ? '' : ` (field ${error.field.slice(0, 50)})`
  const detail = `${error.message}${field}. A form holds one file field, source, and options as fields.`
  return new Problem('request-invalid', detail, { cause: error })
}
