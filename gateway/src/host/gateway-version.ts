import { readFileSync } from 'node:fs'

/** The version of this gateway, from `package.json`. */
export function gatewayVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? 'unknown'
}
