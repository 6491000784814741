import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { registryHost } from '#api/registries/address.ts'

const text = z.string().nullish()
const Entry = z.object({ auth: text, username: text, password: text, identitytoken: text })
/** An entry of another shape is no login. */
const Auths = z.record(z.string(), Entry.nullable().catch(null))
const DockerConfig = z.object({ auths: Auths.nullish() })

/**
 * Reads the login for a registry from the `config.json` of a docker client. Null if the file or the
 * entry is missing. Throws `internal` if the file is damaged.
 */
export function dockerLogin(path: string, host: string): { user: string; secret: string } | null {
  const entry = Object.entries(readAuths(path)).find(
    ([name]) => registryHost(name) === registryHost(host),
  )?.[1]
  if (!entry) return null
  if (entry.identitytoken) return { user: '', secret: entry.identitytoken }
  const [user = '', ...secret] = Buffer.from(entry.auth ?? '', 'base64')
    .toString()
    .split(':')
  return { user: entry.username ?? user, secret: entry.password ?? secret.join(':') }
}

function readAuths(path: string): z.infer<typeof Auths> {
  try {
    return DockerConfig.parse(JSON.parse(readFileSync(path, 'utf8'))).auths ?? {}
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return {}
    throw new Problem(
      'internal',
      `The logins of TARMAC_DOCKER_CONFIG cannot be read: ${path} is damaged.`,
      { cause },
    )
  }
}
