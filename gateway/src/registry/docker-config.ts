import { readFileSync } from 'node:fs'
import { Problem } from '#api/problem.ts'

type Entry = { auth?: string; username?: string; password?: string; identitytoken?: string }

/** What the `config.json` of a docker client says about a registry; null where it says nothing, or is not there. */
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
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new Problem(
      'internal',
      `The logins of TARMAC_DOCKER_CONFIG cannot be read: ${path} is damaged.`,
      { cause },
    )
  }
}

/** Docker keeps its own hub under an address of old. */
function plainHost(name: string): string {
  const host = name
    .replace(/^https?:\/\//, '')
    .split('/')[0]!
    .toLowerCase()
  return ['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'].includes(host)
    ? 'docker.io'
    : host
}
