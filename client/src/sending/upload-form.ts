import { randomUUID } from 'node:crypto'

/** From this length on, variables travel in the body: servers and proxies limit an address. */
const longQueryChars = 4000
const isVariable = (name: string) => /^(?:env|build)\./.test(name)

export type UploadForm = Body & { query: URLSearchParams }
type Body = { type: string; wrap: (body: AsyncIterable<Buffer>) => AsyncIterable<Buffer> }

/**
 * How options and secrets travel with a source: options in the query. Secrets, and variables that
 * would make the query long, are fields of a form around the source.
 */
export function uploadForm(
  query: URLSearchParams,
  secrets: ReadonlyMap<string, string>,
): UploadForm {
  const fields = Array.from(secrets, ([name, value]): [string, string] => [`secret.${name}`, value])
  if (query.toString().length > longQueryChars)
    for (const [name, value] of [...query].filter(([name]) => isVariable(name))) {
      fields.push([name, value])
      query.delete(name)
    }
  return { query, ...(fields.length > 0 ? formWith(fields) : plainBody) }
}

const plainBody: Body = { type: 'application/octet-stream', wrap: (body) => body }

function formWith(fields: [string, string][]): Body {
  const boundary = randomUUID()
  const field = (name: string, more: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`
  const before = fields.map(([name, value]) => `${field(name, '')}${value}\r\n`)
  async function* wrap(body: AsyncIterable<Buffer>) {
    yield Buffer.from(before.join('') + field('source', '; filename="source"'))
    yield* body
    yield Buffer.from(`\r\n--${boundary}--\r\n`)
  }
  return { type: `multipart/form-data; boundary=${boundary}`, wrap }
}
