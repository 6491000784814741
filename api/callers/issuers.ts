/** The issuer of tokens of github.com's Actions. Source: docs.github.com, actions/reference/security/oidc. */
export const githubIssuer = 'https://token.actions.githubusercontent.com'
/** Source: docs.gitlab.com, ci/secrets/id_token_authentication. */
export const gitlabIssuer = 'https://gitlab.com'
/** Each organisation has its own issuer. Source: fly.md 6.1. */
export const flyIssuer = (org: string) => `https://oidc.fly.io/${org}`

type Claims = Record<string, readonly string[]>

/**
 * Issuers that sign for everybody, and the claims that name one tenant. `exact`: by an id. `begins`:
 * by a name, whose beginning must be complete: `acme*` would also match `acme-of-somebody-else`.
 */
const shared: Record<string, { exact: string[]; begins: Record<string, RegExp> }> = {
  [githubIssuer]: {
    exact: ['repository_id', 'repository_owner_id', 'repository_owner', 'enterprise_id'],
    begins: { repository: /^[^/*]+\/./, sub: /^repo:[^/:*]+\/./ },
  },
  [gitlabIssuer]: {
    exact: ['project_id', 'namespace_id', 'namespace_path'],
    begins: { project_path: /^[^/*]+\/./, sub: /^project_path:[^/:*]+\/./ },
  },
}

/** What is wrong with the URL of an issuer. Plain HTTP is for a lab on this machine. */
export function issuerFault(issuer: string): string | null {
  const url = URL.parse(issuer)
  const isPlain = url?.protocol === 'http:' && isLoopback(url.hostname)
  if (!url || (url.protocol !== 'https:' && !isPlain))
    return 'is the https address of an OIDC issuer, or tailscale or fly-6pn'
  if (url.username || url.password || url.search || url.hash)
    return 'has no user, password, query or fragment'
  return null
}

/** Why claims would admit strangers of a shared issuer. Null: they name one tenant. */
export function tenantFault(issuer: string, claims: Claims): string | null {
  const tenant = shared[issuer.replace(/\/$/, '')]
  if (!tenant) return null
  const isExact = (name: string) => claims[name]?.every((pattern) => !pattern.endsWith('*'))
  const begins = Object.entries(tenant.begins)
  const isOne =
    tenant.exact.some(isExact) ||
    begins.some(([name, whole]) => claims[name]?.every((pattern) => whole.test(pattern)))
  if (isOne) return null
  const names = [...tenant.exact, ...begins.map(([name]) => name)]
  return `name no tenant of ${issuer}, which signs for everybody. Give one of ${names.join(', ')}, with a complete owner: acme/*, not acme*`
}

const isLoopback = (host: string) =>
  host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
