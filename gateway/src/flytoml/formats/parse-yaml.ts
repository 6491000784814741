import { createRequire } from 'node:module'
import type * as yaml from 'yaml'

const require = createRequire(import.meta.url)

/**
 * Parses one YAML document with whole numbers as bigints. As in Go's yaml.v3, `<<` merges a table,
 * a name occurs once in its table, and `yes` is a text. A date stays a text.
 */
export function parseYaml(text: string): unknown {
  // Loaded for the first such file, because most are TOML.
  const { parse }: typeof yaml = require('yaml')
  return parse(text, { intAsBigInt: true, merge: true, maxAliasCount, logLevel: 'error' })
}

/** An alias repeats what it names: without a limit a small file could become a huge one. */
const maxAliasCount = 50
