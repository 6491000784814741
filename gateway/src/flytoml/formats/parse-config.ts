import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { parseJson } from '../../host/parse-json.ts'
import { parseToml } from './parse-toml.ts'
import { parseYaml } from './parse-yaml.ts'
import { isTable, refuse, type Table } from '../schema.ts'
import { isDeeperThan } from './toml-size.ts'

const parsers = {
  TOML: parseToml,
  JSON: parseJson,
  YAML: parseYaml,
}

/**
 * Parses a config file by the ending of its name, as flyctl does: `.json`, `.yaml` or `.yml`, else
 * TOML. Whole numbers of TOML and YAML are bigints, as Go tells them from fractions. Those of JSON
 * are not: Go reads all of them as fractions. A byte order mark, which flyctl refuses, is skipped:
 * editors on Windows write it. Throws `fly-config-invalid`.
 */
export function parseConfig(text: string, path: string): Table {
  const format = path.endsWith('.json') ? 'JSON' : /\.ya?ml$/.test(path) ? 'YAML' : 'TOML'
  const file = parsed(text.replace(/^\ufeff/, ''), format)
  if (!isTable(file)) return refuse('it', `must be a table of names and values, not a list.`)
  refuseHugeNumbers(file)
  return file
}

function parsed(text: string, format: keyof typeof parsers): unknown {
  try {
    // A YAML file without a value is an empty one, and so is `null` in JSON, as in Go.
    const file = parsers[format](text) ?? {}
    if (isDeeperThan(file, maxDepth))
      throw new Error(`it has tables in tables on more than ${maxDepth} levels`)
    return file
  } catch (cause) {
    // The parser quotes the line, which may be the whole file.
    const reason = errorMessage(cause).slice(0, maxReasonChars)
    throw new Problem('fly-config-invalid', `fly.toml is not valid ${format}: ${reason}`, { cause })
  }
}

/** Later code recurses into each table. Without a limit the stack would overflow. */
const maxDepth = 100
const maxReasonChars = 500

/** Go has 64 bits for a whole number. Its result for a larger one depends on the processor. */
function refuseHugeNumbers(value: unknown, key = ''): void {
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value)
    refuse(key, `is ${`${value}`.slice(0, 30)}, which does not fit in 64 bits.`)
  if (Array.isArray(value))
    for (const [index, item] of value.entries()) refuseHugeNumbers(item, `${key}[${index}]`)
  else if (isTable(value))
    for (const [name, item] of Object.entries(value))
      refuseHugeNumbers(item, key === '' ? name : `${key}.${name}`)
}
