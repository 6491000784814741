import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorMessage } from '#api/error-code.ts'
import { fullName, imagesOf, pinnedIn, policyOf, SourcePolicy } from '#api/image/pins.ts'
import { Registry } from '../../gateway/src/registry/registry.ts'

/** Docker Hub answers at another host than its name says. */
const apiHosts: Record<string, string> = { 'docker.io': 'registry-1.docker.io' }
const askMs = 60_000

const onLoopback = (host: string) => /^(?:127\.|localhost:)/.test(host)

type Recorded = { lines: string[]; missing: string[] }

/**
 * Asks the registries for the digest behind each tag of the FROM lines of `gateway/Dockerfile`, and
 * writes them to `gateway/pins.json`. `mirrors`: hosts to ask instead, by the registry's name. A tag
 * that a registry does not give keeps its earlier digest.
 */
export async function recordPins(
  root: string,
  mirrors: Record<string, string> = {},
): Promise<Recorded> {
  const file = join(root, 'gateway/pins.json')
  const names = imagesOf(readFileSync(join(root, 'gateway/Dockerfile'), 'utf8')).map(({ image }) =>
    fullName(image),
  )
  const before = pinnedIn(SourcePolicy.parse(JSON.parse(readFileSync(file, 'utf8'))))
  const [lines, missing]: [string[], string[]] = [[], []]
  const now = new Map<string, string>()
  for (const name of names) {
    const known = before.get(name)
    const found = await digestOf(name, mirrors).catch((error: unknown) => {
      missing.push(`${name}: ${errorMessage(error)}`)
      return null
    })
    const digest = found ?? known
    if (digest) now.set(name, digest)
    if (found === null)
      lines.push(`${name}: not asked${known ? `, keeps ${known}` : ', not pinned'}`)
    else
      lines.push(`${name}: ${found}${found === known ? '' : known ? ` (was ${known})` : ' (new)'}`)
  }
  writeFileSync(file, `${JSON.stringify(policyOf(now), null, 2)}\n`)
  return { lines, missing }
}

async function digestOf(name: string, mirrors: Record<string, string>): Promise<string> {
  const [, host = '', repository = '', tag = ''] = /^([^/]+)\/(.+):([^:]+)$/.exec(name) ?? []
  const asked = mirrors[host] ?? apiHosts[host] ?? host
  await using registry = new Registry({ host: asked, login: null, insecure: onLoopback(asked) })
  const manifest = await registry.manifest(repository, tag, AbortSignal.timeout(askMs))
  if (manifest === null) throw new Error(`${asked} has no such tag`)
  return manifest.digest
}
