import { readOptions, writeOptions } from '../options.ts'
import { unknownOption } from '../options/unknown-option.ts'
import { optionInvalid } from '../options/variables.ts'
import { type NewPreview, previewOptions } from './preview.ts'

const own = ['app', 'owner', 'template', 'ttlSeconds', 'evict'] as const
const options = ['env', ...previewOptions.keyof().options] as const
const known = new Set<string>([...own, ...options, 'wait', 'secret'])

/**
 * Reads what is asked of a preview from the query or the form around its source. Throws
 * `option-unknown` and `option-invalid`. `fields` are not checked further.
 */
export function readPreviewQuery(query: Iterable<[string, string]>): {
  fields: Record<string, unknown>
  wait: boolean
} {
  const fields = new Map<string, unknown>()
  const others: [string, string][] = []
  for (const [name, value] of query) {
    if (!known.has(name.split('.', 1)[0]!))
      throw unknownOption(name, [...own, 'wait', ...options.map(withName)])
    if (!own.some((each) => each === name)) others.push([name, value])
    else if (fields.has(name)) throw optionInvalid(name, 'is given twice; give it once')
    else fields.set(name, name === 'ttlSeconds' ? Number(value) : value)
  }
  const read = readOptions(others, ['wait'])
  for (const name of options) fields.set(name, read.options[name])
  return { fields: Object.fromEntries(fields), wait: read.answer.wait ?? false }
}

const withName = (name: string) => (name === 'env' || name === 'build' ? `${name}.NAME` : name)

/** Writes what is asked of a preview as a query that `readPreviewQuery` reads. */
export function writePreviewQuery({ source: _none, ...asked }: NewPreview): URLSearchParams {
  const query = writeOptions(asked)
  for (const name of own) {
    const value = asked[name]
    if (value !== null) query.set(name, String(value))
  }
  return query
}
