import { z } from 'zod'
import type { LookUp } from './presets.ts'

type Env = Record<string, string | undefined>
type Claims = Record<string, string[]>

const answerMs = 10_000

const GithubRepo = z.object({ id: z.number(), owner: z.object({ id: z.number() }) })
const GitlabProject = z.object({ id: z.number(), namespace: z.object({ id: z.number() }) })

/**
 * The claims with the ids of a repository instead of its name. A name that its owner gives up can be
 * taken by somebody else; an id cannot. Null: the provider does not show the ids, as of a private
 * repository without a token (`GH_TOKEN`, `GITLAB_TOKEN`).
 */
export async function lookUpIds(
  { kind, path, server }: LookUp,
  claims: Claims,
  env: Env,
): Promise<Claims | null> {
  const { repository: _name, project_path: _path, ...others } = claims
  if (kind === 'github') {
    const api = env['GITHUB_API_URL'] ?? 'https://api.github.com'
    const token = env['GH_TOKEN'] || env['GITHUB_TOKEN']
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    const found = GithubRepo.safeParse(await read(`${api}/repos/${path}`, headers))
    if (!found.success) return null
    const { id, owner } = found.data
    return { repository_id: [String(id)], repository_owner_id: [String(owner.id)], ...others }
  }
  const token = env['GITLAB_TOKEN']
  const headers = token ? { 'private-token': token } : {}
  const url = `${server.replace(/\/$/, '')}/api/v4/projects/${encodeURIComponent(path)}`
  const found = GitlabProject.safeParse(await read(url, headers))
  if (!found.success) return null
  const { id, namespace } = found.data
  return { project_id: [String(id)], namespace_id: [String(namespace.id)], ...others }
}

/** Null: no answer that helps. The rule is then made by name, and says so. */
async function read(url: string, headers: Record<string, string>): Promise<unknown> {
  try {
    const response = await fetch(url, {
      headers: { ...headers, accept: 'application/json', 'user-agent': 'tarmac' },
      signal: AbortSignal.timeout(answerMs),
    })
    return response.ok ? await response.json() : null
  } catch {
    return null
  }
}
