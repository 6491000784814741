import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'

/** A wrong use of the command line: exit code 2. */
export const wrongUse = (detail: string) => new Problem('option-invalid', detail)

export function appName(app: string): string {
  if (AppName.safeParse(app).success) return app
  throw new Problem('app-name-invalid', appNameRule)
}

/** Reads options. A Problem names an option as the command line does. */
export function asOptions<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    const option = error instanceof Problem ? error.facts['option'] : undefined
    if (typeof option !== 'string' || !(error instanceof Problem)) throw error
    const [, map, name] = /^(env|build)\.(.+)$/s.exec(option) ?? []
    const flag = map === undefined ? `--${option}` : `--${map} ${name}`
    const detail = error.message.replace(`The option ${option} `, `${flag} `)
    throw new Problem(error.code, detail, { cause: error, facts: error.facts })
  }
}

export function gatewayUrl(address: string): URL {
  if (URL.canParse(address) && /^https?:/.test(address)) return new URL(address)
  throw wrongUse(`The gateway's address is like http://tarmac:8080, not ${address}.`)
}
