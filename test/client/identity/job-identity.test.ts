import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { expect, test, vi } from 'vitest'
import { Problem } from '#api/problem.ts'
import type { Builder } from '../../../client/src/builder/find-builder.ts'
import { examineHere } from '../../../client/src/doctor/examine-here.ts'
import { identifyBuilder } from '../../../client/src/identity/identify-builder.ts'
import { audOf, jobIdentity } from '../../../client/src/identity/job-identity.ts'
import { Issuer } from '../../../lab/issuer.ts'

const aud = 'http://tarmac.flycast'

async function serve(handler: RequestListener, at: number | string = 0) {
  const server = createServer(handler).listen(at as number, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** GitHub's server for tokens, as a job sees it. `statuses`: of its first answers. */
async function startGithub(statuses: number[] = [], lifeSeconds = 300) {
  const issuer = await Issuer.create()
  const asked: (string | undefined)[] = []
  const server = await serve((req, res) => {
    asked.push(req.url, req.headers.authorization)
    const status = statuses.shift() ?? 200
    if (status !== 200) return void res.writeHead(status).end('busy')
    const wanted = new URL(req.url!, 'http://github').searchParams.get('audience')
    const exp = Math.floor(Date.now() / 1000) + lifeSeconds
    void issuer.sign({ aud: wanted, exp }).then((value) => res.end(JSON.stringify({ value })))
  })
  const env = {
    GITHUB_ACTIONS: 'true',
    GITHUB_REPOSITORY: 'acme/shop',
    ACTIONS_ID_TOKEN_REQUEST_URL: `${server.url}/token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'secret-of-the-job',
  }
  return { env, asked, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('a job of GitHub asks for a token for the gateway, and keeps it for half its life', async () => {
  await using github = await startGithub()
  const identity = jobIdentity(github.env, aud)!
  expect(decodeJwt(await identity.token())).toMatchObject({ aud })
  await identity.token()
  expect(github.asked).toEqual([
    '/token?api-version=2.0&audience=http%3A%2F%2Ftarmac.flycast',
    'bearer secret-of-the-job',
  ])

  const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 151_000)
  try {
    await identity.token()
    expect(github.asked).toHaveLength(4)
  } finally {
    now.mockRestore()
  }
})

test('GitHub is asked again when it fails once', async () => {
  await using github = await startGithub([503])
  expect(await jobIdentity(github.env, aud)!.token()).not.toBe('')
  expect(github.asked).toHaveLength(4)
})

test('a job without the permission id-token says which lines the workflow lacks', async () => {
  const identity = jobIdentity({ GITHUB_ACTIONS: 'true' }, aud)!
  expect(await identity.token()).toBe('')
  const shown = identity.explain(new Problem('unauthorized', 'Send a token.')).message
  expect(shown).toContain('permissions:\n    id-token: write\n    contents: read')
  expect(shown).toContain('fork')
})

test('a refused job says which rule an administrator adds', async () => {
  await using github = await startGithub()
  const identity = jobIdentity(github.env, aud)!
  const refused = identity.explain(new Problem('unauthorized', 'Send a token.'))
  expect(refused).toMatchObject({ code: 'unauthorized' })
  expect(refused.message).toContain(`tarmac rule add --github acme/shop --app APP --aud ${aud}`)
  const unmatched = identity.explain(new Problem('oidc-no-rule', 'It says: ref "refs/heads/x".'))
  expect(unmatched.message).toBe(
    'It says: ref "refs/heads/x".\nFor this job of GitHub Actions: tarmac rule add --github acme/shop --app APP',
  )
  const other = new Problem('app-not-found', 'There is no app.')
  expect(identity.explain(other)).toBe(other)
})

test('a job of GitLab uses the variable of its id_tokens, and says how to get it', async () => {
  const env = {
    GITLAB_CI: 'true',
    CI_PROJECT_PATH: 'acme/shop',
    CI_SERVER_URL: 'https://git.acme.com',
  }
  const without = jobIdentity(env, aud)!
  expect(await without.token()).toBe('')
  expect(without.explain(new Problem('unauthorized', '')).message).toContain(
    `id_tokens:\n    TARMAC_ID_TOKEN:\n      aud: ${aud}`,
  )
  const identity = jobIdentity({ ...env, TARMAC_ID_TOKEN: 'a.b.c' }, aud)!
  expect(await identity.token()).toBe('a.b.c')
  expect(identity.explain(new Problem('unauthorized', '')).message).toContain(
    'tarmac rule add --gitlab acme/shop --issuer https://git.acme.com --app APP',
  )
})

test('a machine of Fly asks its own socket; elsewhere there is no identity', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-fly-'))
  try {
    const socket = join(dir, 'api')
    const env = { FLY_APP_NAME: 'ci', FLY_MACHINE_ID: 'm1' }
    expect(jobIdentity(env, aud, socket)).toBeNull()
    expect(jobIdentity({}, aud)).toBeNull()

    const server = createServer((_req, res) => res.writeHead(503).end()).listen(socket)
    await once(server, 'listening')
    try {
      await expect(jobIdentity(env, aud, socket)!.token()).rejects.toThrow(
        'Fly gave no OIDC token: its answer has the status 503.',
      )
    } finally {
      server.close()
    }
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('the audience is the address of the gateway, unless TARMAC_AUDIENCE names one', () => {
  const gateway = new URL('http://tarmac.flycast/')
  expect(audOf(gateway, {})).toBe('http://tarmac.flycast')
  expect(audOf(gateway, { ['TARMAC_AUDIENCE']: 'tarmac' })).toBe('tarmac')
})

test('doctor and builder status ask as the job in which they run, unless there is a token', async () => {
  await using github = await startGithub()
  const gateway = new URL(aud)
  const builder: Builder = {
    app: null,
    gateway,
    token: '',
    isTunnel: false,
    sideFile: null,
    fly: null,
  }
  const notes: string[] = []
  const identify = (known: Builder, env: Record<string, string>) =>
    identifyBuilder(known, env, (text) => notes.push(text))
  const asJob = await identify(builder, github.env)
  expect(decodeJwt(asJob.token)).toMatchObject({ aud })
  const withToken = { ...builder, token: 'held' }
  expect(await identify(withToken, github.env)).toBe(withToken)
  expect(await identify(builder, {})).toBe(builder)
  expect(notes).toEqual([])

  // Without the permission for a token, what needs none goes on.
  const without = await identify(builder, { GITHUB_ACTIONS: 'true' })
  expect(without.token).toBe('')
  expect(without.identity).toBeDefined()
})

test('doctor says which rule a job lacks', async () => {
  await using github = await startGithub()
  await using refusing = await serve((_req, res) =>
    res
      .writeHead(401, { 'content-type': 'application/problem+json' })
      .end(JSON.stringify(new Problem('unauthorized', 'Send a token.').body())),
  )
  const known = { app: null, token: '', isTunnel: false, sideFile: null, fly: null }
  const builder = await identifyBuilder(
    { ...known, gateway: new URL(refusing.url) },
    github.env,
    () => {},
  )
  const { findings } = await examineHere(builder, true, AbortSignal.timeout(10_000))
  expect(
    findings.find(({ detail }) => detail.includes('does not know the caller'))?.next,
  ).toContain('tarmac rule add --github acme/shop --app APP')
})
