import { readFileSync } from 'node:fs'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'

type Entry = { auth?: string; username?: string; password?: string; identitytoken?: string }

/**
 * Reads the login for a registry from the `config.json` of a docker client. Null if the file or the
 * entry is missing. Throws `internal` if the file is damaged.
 */
export function dockerLogin(path: string, host: string): { user: string; secret: string } | null {
  const entry = Object.entries(readAuths(path)).find(
    ([name]) => plainHost(name) === plainHost(host),
  )?.[1]
  if (!entry) return null
  if (entry.identitytoken) return { user: '', secret: entry.identitytoken }
  const [user = '', ...secret] = Buffer.from(entry.auth ?? '', 'base64')
    .toString()
    .split(':')
  return { user: entry.username ?? user, secret: entry.password ?? secret.join(':') }
}

function readAuths(path: string): Record<string, Entry> {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { auths?: Record<string, Entry> }).auths ?? {}
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return {}
    throw new Problem(
      'internal',
      `The logins of TARMAC_DOCKER_CONFIG cannot be read: ${path} is damaged.`,
      { cause },
    )
  }
}

/** Docker stores logins for Docker Hub under an old address. */
function plainHost(name: string): string {
  const host = name
    .replace(/^https?:\/\//, '')
    .split('/')[0]!
    .toLowerCase()
  return ['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'].includes(host)
    ? 'docker.io'
    : host
}
