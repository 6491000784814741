import { existsSync } from 'node:fs'
import { Problem } from '#api/problem.ts'
import type { TokenSource } from '../connection.ts'
import { expiryOf, flyToken, githubToken } from './request-token.ts'

type Env = Record<string, string | undefined>

/** Who a job or a machine is by itself, without a token of the gateway. */
export type JobIdentity = TokenSource & {
  /** A refusal of the gateway, with what a user of this job can do about it. */
  explain(problem: Problem): Problem
}

/** How a provider gives a token. `request` null: this job has none, and `advice` says why. */
type Provider = {
  job: string
  request: ((aud: string) => Promise<string>) | null
  missing: string
  rule: string
}

/** The audience of the gateway: what its rules say, else its address. */
export const audOf = (gateway: URL, env: Env): string =>
  env['TARMAC_AUDIENCE'] || gateway.href.replace(/\/$/, '')

/**
 * The identity of the job or machine in which this client runs: GitHub Actions, GitLab, or a machine
 * of Fly. Null: it runs elsewhere. `socket`: where a machine of Fly asks for tokens.
 */
export function jobIdentity(env: Env, aud: string, socket = '/.fly/api'): JobIdentity | null {
  const provider = providerOf(env, aud, socket)
  if (!provider) return null
  let held: { token: string; renewAt: number } | null = null
  return {
    async token() {
      if (!provider.request) return ''
      if (held && Date.now() < held.renewAt) return held.token
      const token = await provider.request(aud)
      // A deployment may take longer than a token lives.
      const expiresAt = expiryOf(token) ?? Date.now()
      held = { token, renewAt: (Date.now() + expiresAt) / 2 }
      return token
    },
    explain: (problem) => explained(problem, provider, aud),
  }
}

function providerOf(env: Env, aud: string, socket: string): Provider | null {
  if (env['GITHUB_ACTIONS'] === 'true') return github(env)
  if (env['GITLAB_CI'] === 'true') return gitlab(env, aud)
  const { FLY_APP_NAME: app, FLY_MACHINE_ID: id } = env
  return app && id && existsSync(socket) ? fly(app, socket) : null
}

function github(env: Env): Provider {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret } = env
  const repository = env['GITHUB_REPOSITORY'] ?? 'OWNER/REPO'
  return {
    job: 'this job of GitHub Actions',
    request: url && secret ? (aud) => githubToken(url, secret, aud) : null,
    missing:
      'GitHub gives this job no OIDC token: the workflow lacks the permission. Add to the job:\n' +
      '  permissions:\n    id-token: write\n    contents: read\n' +
      'A pull request from a fork never has it. Or set TARMAC_TOKEN from a secret.',
    rule: `tarmac rule add --github ${repository} --app APP`,
  }
}

function gitlab(env: Env, aud: string): Provider {
  const token = env['TARMAC_ID_TOKEN']
  const server = env['CI_SERVER_URL'] ?? 'https://gitlab.com'
  const issuer = server === 'https://gitlab.com' ? '' : ` --issuer ${server}`
  return {
    job: 'this job of GitLab',
    request: token ? async () => token : null,
    missing:
      'This job of GitLab has no OIDC token for the gateway. Add to the job:\n' +
      `  id_tokens:\n    TARMAC_ID_TOKEN:\n      aud: ${aud}\n` +
      'Or set TARMAC_TOKEN as a masked variable.',
    rule: `tarmac rule add --gitlab ${env['CI_PROJECT_PATH'] ?? 'PROJECT'}${issuer} --app APP`,
  }
}

const fly = (app: string, socket: string): Provider => ({
  job: 'this machine of Fly',
  request: (aud) => flyToken(socket, aud),
  missing: '',
  rule: `tarmac rule add --fly ORG/${app} --app APP`,
})

function explained(problem: Problem, { job, request, missing, rule }: Provider, aud: string) {
  const more = { cause: problem, facts: problem.facts }
  if (problem.code === 'oidc-no-rule')
    return new Problem(problem.code, `${problem.message}\nFor ${job}: ${rule}`, more)
  if (problem.code !== 'unauthorized') return problem
  if (!request) return new Problem(problem.code, `The gateway needs a token. ${missing}`, more)
  const detail = `The gateway does not accept the OIDC token of ${job}, which is for the audience ${aud}. It may have no rule for it. An administrator adds one:\n  ${rule} --aud ${aud}\nOr set TARMAC_TOKEN.`
  return new Problem(problem.code, detail, more)
}
