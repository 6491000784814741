import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test, vi } from 'vitest'
import { githubIssuer } from '../../api/callers/issuers.ts'
import { readCommandLine } from '../../client/src/command-line.ts'
import { lookUpIds } from '../../client/src/rule/look-up-ids.ts'
import type { RuleRequest } from '../../client/src/rule/read-rule.ts'
import { startIssuer } from '../../lab/issuer.ts'
import { startHttp, token } from '../gateway/http/start-http.ts'
import { startEnv } from '../start-env.ts'

vi.setConfig({ testTimeout: 30_000 }) // many processes on few cores

const env = { TARMAC_GATEWAY: 'http://tarmac.flycast' }
const main = join(import.meta.dirname, '../../client/src/main.ts')
const request = (...args: string[]): RuleRequest => {
  const command = readCommandLine(['rule', ...args], env)
  if (command.name !== 'rule') throw new Error(command.name)
  return command.request
}
const added = (...args: string[]) => {
  const found = request('add', ...args)
  if (found.verb !== 'add') throw new Error(found.verb)
  return found.rule
}

test('a preset needs no claim by hand', () => {
  expect(added('--github', 'acme/shop', '--branch', 'main', '--app', 'shop,pr-*')).toEqual({
    name: 'github:acme/shop@main',
    issuer: githubIssuer,
    aud: 'http://tarmac.flycast',
    claims: {
      repository: ['acme/shop'],
      ref: ['refs/heads/main'],
      event_name: ['push', 'workflow_dispatch', 'schedule', 'release', 'merge_group', 'deployment'],
    },
    scopes: ['deploy'],
    apps: ['shop', 'pr-*'],
    owners: null,
    team: null,
    maxSeconds: 3900,
  })
  expect(
    added('--gitlab', 'acme/web/shop', '--environment', 'production', '--all-apps'),
  ).toMatchObject({
    name: 'gitlab:acme/web/shop:production',
    issuer: 'https://gitlab.com',
    claims: { project_path: ['acme/web/shop'], environment: ['production'] },
    apps: null,
  })
  expect(added('--fly', 'acme/ci', '--app', 'shop', '--scope', 'read,secrets')).toMatchObject({
    issuer: 'https://oidc.fly.io/acme',
    claims: { org_name: ['acme'], app_name: ['ci'] },
    scopes: ['read', 'secrets'],
  })
  expect(added('--tailscale', '@acme.com', '--app', 'shop')).toMatchObject({
    issuer: 'tailscale',
    aud: null,
    claims: { domain: ['acme.com'] },
  })
  expect(added('--fly-6pn', 'ci', '--app', 'shop')).toMatchObject({ issuer: 'fly-6pn', aud: null })
  const pulls = added(
    '--github',
    'acme/shop',
    '--pull-requests',
    '--app',
    'pr-*',
    '--scope',
    'preview',
  )
  expect(pulls.claims['event_name']).toEqual(['pull_request'])
  const own = added(
    'ours',
    '--issuer',
    'https://id.acme.com',
    '--claim',
    'team=web',
    '--aud',
    'x',
    '--app',
    'a1',
  )
  expect(own).toMatchObject({ name: 'ours', aud: 'x', claims: { team: ['web'] } })
})

test.each([
  [['--app', 'shop'], 'Say whom the rule is for'],
  [['--github', 'acme/shop'], 'Say which apps it may use'],
  [['--github', 'acme', '--app', 'shop'], 'as OWNER/REPO'],
  [['--github', 'a/b', '--gitlab', 'a/b', '--app', 'shop'], 'not both'],
  [['--github', 'a/b', '--branch', 'x', '--pull-requests', '--app', 'shop'], 'ref of its own'],
  [['--fly', 'acme', '--branch', 'x', '--app', 'shop'], '--branch is for'],
  [['--github', 'a/b', '--app', 'shop', '--scope', 'root'], 'scopes.0'],
  [['--github', 'a/b', '--app', 'shop', '--all-apps'], 'not both'],
  [['--github', 'a/b', '--app', 'shop', '--claim', 'ref'], 'NAME=VALUE'],
  [['x', '--issuer', 'http://git.acme.com', '--claim', 'a=b', '--app', 'shop'], 'https address'],
  [
    ['x', '--issuer', githubIssuer, '--claim', 'ref=refs/heads/main', '--app', 'shop'],
    'name no tenant',
  ],
  [['--issuer', 'https://id.acme.com', '--claim', 'a=b', '--app', 'shop'], 'Give the rule a name'],
])('tarmac rule add %j is refused', (args, reason) => {
  expect(() => request('add', ...args)).toThrow(reason)
})

test('an option of rule add is none of rule list', () => {
  expect(request('list')).toEqual({ verb: 'list' })
  expect(() => request('list', '--github', 'a/b')).toThrow(
    '--github is not an option of tarmac rule list',
  )
  expect(() => request('remove')).toThrow('The usage is: tarmac rule list')
})

test('a repository is pinned by its ids, and by its name only where they are not shown', async () => {
  const asked: string[] = []
  const server = createServer((req, res) => {
    asked.push(`${req.url} ${req.headers.authorization ?? '-'}`)
    if (req.url === '/repos/acme/private') return void res.writeHead(404).end()
    const project = { id: 5, namespace: { id: 6 } }
    res.end(
      JSON.stringify(req.url!.startsWith('/api/v4') ? project : { id: 4711, owner: { id: 42 } }),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const github = { kind: 'github', path: 'acme/shop', server: '' } as const
    const claims = { repository: ['acme/shop'], ref: ['refs/heads/main'] }
    const api = { GITHUB_API_URL: url, GH_TOKEN: 'mine' }
    expect(await lookUpIds(github, claims, api)).toEqual({
      repository_id: ['4711'],
      repository_owner_id: ['42'],
      ref: ['refs/heads/main'],
    })
    expect(await lookUpIds({ ...github, path: 'acme/private' }, claims, api)).toBeNull()
    const gitlab = { kind: 'gitlab', path: 'acme/shop', server: url } as const
    expect(await lookUpIds(gitlab, { project_path: ['acme/shop'] }, {})).toEqual({
      project_id: ['5'],
      namespace_id: ['6'],
    })
    expect(asked).toEqual([
      '/repos/acme/shop Bearer mine',
      '/repos/acme/private Bearer mine',
      '/api/v4/projects/acme%2Fshop -',
    ])
  } finally {
    server.close()
  }
})

/** Runs the client as a user does. */
async function tarmac(args: string[], own: Record<string, string>) {
  const child = spawn(process.execPath, [main, ...args], { env: { ...startEnv, ...own } })
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ])
  return { out, err, code }
}

test('an administrator adds a rule, and a job reads its app without any secret', async () => {
  await using issuer = await startIssuer()
  await using http = await startHttp()
  const { id } = await http.create()
  const admin = { TARMAC_GATEWAY: http.url, TARMAC_TOKEN: token }

  const job = {
    TARMAC_GATEWAY: http.url,
    GITLAB_CI: 'true',
    CI_PROJECT_PATH: 'acme/shop',
    TARMAC_ID_TOKEN: await issuer.sign({ aud: http.url, project_id: '5', pipeline_source: 'push' }),
  }
  const early = await tarmac(['cancel', id], job)
  expect(early).toMatchObject({ code: 3, out: '' })
  expect(early.err).toContain('tarmac rule add --gitlab acme/shop --app APP')

  const args = [
    'rule',
    'add',
    'ci',
    '--issuer',
    issuer.url,
    '--claim',
    'project_id=5',
    '--app',
    'shop',
  ]
  expect(await tarmac(args, admin)).toMatchObject({
    code: 0,
    out: `added rule ci
  may       deploy: shop
  issuer    ${issuer.url}
  audience  ${http.url}
  claims    project_id = 5
`,
  })
  expect((await tarmac(['rule', 'list'], admin)).out).toMatch(
    /^RULE +MAY +APPS +ISSUER +LAST USE \(UTC\) +ADDED\nci +deploy +shop +http:\/\/127\.0\.0\.1:\d+ +never +\d{4}-\d\d-\d\d operator\n$/,
  )
  expect(await tarmac(['rule', 'list'], job)).toMatchObject({ code: 3 })
  expect(await tarmac(['cancel', id], job)).toMatchObject({ code: 0 })

  expect(await tarmac(['rule', 'remove', 'ci'], admin)).toMatchObject({
    code: 0,
    out: 'removed rule ci; its callers are refused from now on\n',
  })
  expect(await tarmac(['cancel', id], job)).toMatchObject({ code: 3 })
  expect((await tarmac(['rule', 'list'], admin)).out).toContain('no rules; to add one')
})
