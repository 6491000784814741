/**
 * Trims Fly's public OpenAPI document to the answers of the calls that localfly has.
 * `node lab/make/fly-openapi.ts FILE` writes `lab/localfly/openapi.json`. The document is
 * https://docs.machines.dev/spec/openapi3.json (Apache 2.0), here as of 2026-05-07.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

type Json = Record<string, any>

const left = /\/(?:secretkeys|memory)\b|\/tokens\/(?!current)/
const out = join(import.meta.dirname, '../localfly/openapi.json')

const spec = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Json
const schemas: Json = {}
const paths: Json = {}
for (const [path, methods] of Object.entries<Json>(spec['paths'])) {
  if (left.test(path)) continue
  paths[path] = Object.fromEntries(
    Object.entries(methods).map(([method, { responses }]) => [
      method,
      { responses: bare(responses) },
    ]),
  )
}
const { title, version, license } = spec['info']
const info = {
  title,
  version,
  license,
  'x-source': 'https://docs.machines.dev/spec/openapi3.json, 2026-05-07, trimmed',
}
/** One line for each path and schema, so that a diff shows where the document changed. */
const lines = (values: Json) =>
  `{\n${Object.entries(values)
    .map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(',\n')}\n}`
const components = `{ "schemas": ${lines(schemas)} }`
writeFileSync(
  out,
  `{\n"info": ${JSON.stringify(info)},\n"paths": ${lines(paths)},\n"components": ${components}\n}\n`,
)

/** Removes descriptions, and collects the referenced schemas. */
function bare(value: any): any {
  if (Array.isArray(value)) return value.map(bare)
  if (typeof value !== 'object' || value === null) return value
  const name: string | undefined = value.$ref?.split('/').at(-1)
  if (name && !schemas[name]) {
    schemas[name] = {} // ends the recursion of a schema that names itself
    schemas[name] = bare(spec['components'].schemas[name])
  }
  const words = new Set(['description', 'example', 'deprecated'])
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, entry]) => !words.has(key) || typeof entry === 'object')
      .filter(([key]) => !key.startsWith('x-'))
      .map(([key, entry]) => [key, bare(entry)]),
  )
}
