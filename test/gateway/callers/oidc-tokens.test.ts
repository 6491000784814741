import { createHmac } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { type NewRule, readRule, type Rule } from '../../../api/callers/rule.ts'
import { NewToken } from '../../../api/callers/token.ts'
import type { Problem } from '../../../api/problem.ts'
import { IssuerKeys } from '../../../gateway/src/callers/oidc/issuer-keys.ts'
import { oidcTokens } from '../../../gateway/src/callers/oidc/oidc-tokens.ts'
import type { Principal } from '../../../gateway/src/callers/principal.ts'
import { TokenTable } from '../../../gateway/src/callers/tokens/token-table.ts'
import { Tokens } from '../../../gateway/src/callers/tokens/tokens.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { startIssuer } from '../../../lab/issuer.ts'

const aud = 'http://tarmac.flycast'
const log = openLog('silent')
const job = { aud, repository: 'acme/shop', repository_id: '4711', ref: 'refs/heads/main' }

const ruleOf = (issuer: string, more: Partial<NewRule> = {}): Rule => ({
  ...readRule({
    name: 'github:acme/shop',
    issuer,
    aud,
    claims: { repository_id: '4711' },
    scopes: ['deploy'],
    apps: ['shop'],
    ...more,
  }),
  origin: 'stored',
  createdAt: null,
  createdBy: null,
})

/** An authenticator with these rules, and what it answers to a token. */
function gatewayWith(rules: Rule[], more: { now?: () => number; keys?: IssuerKeys } = {}) {
  const { now, keys = new IssuerKeys({ log }) } = more
  const authenticate = oidcTokens({ rules: { all: () => rules }, keys, ...(now && { now }) })
  return async (bearer: string) => {
    try {
      return await authenticate({ bearer, headers: {}, address: '10.0.0.9' })
    } catch (error) {
      return error as Problem
    }
  }
}
const codeOf = (found: unknown) => (found as { code?: string } | null)?.code ?? found

test('a token of a named issuer becomes a principal with the rights of its rule', async () => {
  await using issuer = await startIssuer()
  const ask = gatewayWith([ruleOf(issuer.url, { owners: ['alice'], team: 'acme' })])
  const exp = Math.floor(Date.now() / 1000) + 300
  expect(await ask(await issuer.sign({ ...job, exp }))).toEqual({
    kind: 'oidc',
    name: 'github:acme/shop',
    tokenId: null,
    scopes: ['deploy'],
    apps: ['shop'],
    owners: ['alice'],
    teams: ['acme'],
    address: '10.0.0.9',
    // So that nobody makes a token of it that lives longer.
    expiresAt: exp * 1000,
    proof: expect.anything(),
    rule: 'github:acme/shop',
  })
  expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/.well-known/jwks'])
})

test.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('a signature by %s is checked', async (alg) => {
  await using issuer = await startIssuer()
  await issuer.rotate(alg)
  const ask = gatewayWith([ruleOf(issuer.url)])
  expect(await ask(await issuer.sign(job))).toMatchObject({ kind: 'oidc' })
})

test('an issuer that no rule names is never asked', async () => {
  await using issuer = await startIssuer()
  await using other = await startIssuer()
  const ask = gatewayWith([ruleOf(other.url)])
  expect(await ask(await issuer.sign(job))).toBeNull()
  expect(issuer.asked).toEqual([])
})

test('a token that is not signed by its issuer says nothing about itself', async () => {
  await using issuer = await startIssuer()
  await using thief = await startIssuer()
  const ask = gatewayWith([ruleOf(issuer.url)])
  const good = await issuer.sign(job)
  const [header, , signature] = good.split('.') as [string, string, string]
  const code = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

  // The same claims by another key of the same id.
  expect(await ask(await thief.sign({ ...job, iss: issuer.url }))).toBeNull()
  // Other claims under a signature of the issuer.
  const forged = code({ ...job, iss: issuer.url, repository_id: '1', exp: 9e9, iat: 1 })
  expect(await ask([header, forged, signature].join('.'))).toBeNull()
  // An expired token with a bad signature does not say that it has expired.
  const old = await thief.sign({ ...job, iss: issuer.url, iat: 1, nbf: 1, exp: 2 })
  expect(await ask(old)).toBeNull()

  // No signature at all, and the public key used as a shared secret.
  const claims = code({ ...job, iss: issuer.url, iat: 1, exp: 9e9 })
  expect(await ask(`${code({ alg: 'none', kid: 'key-1' })}.${claims}.`)).toBeNull()
  const { publicKey } = { publicKey: issuer.keys[0]!.shown }
  const input = `${code({ alg: 'HS256', kid: 'key-1' })}.${claims}`
  const mac = createHmac('sha256', JSON.stringify(publicKey)).update(input).digest('base64url')
  expect(await ask(`${input}.${mac}`)).toBeNull()

  for (const token of ['', 'a.b.c', '..', 'tarmac_abc', `${header}.e30.x`, 'a.b.c.d.e'])
    expect(await ask(token)).toBeNull()
})

test('a token without a key id, or with a critical header that we do not know, is refused', async () => {
  await using issuer = await startIssuer()
  const ask = gatewayWith([ruleOf(issuer.url)])
  expect(await ask(await issuer.sign(job, { kid: undefined }))).toBeNull()
  const good = await issuer.sign(job)
  expect(await ask(good)).toMatchObject({ kind: 'oidc' })
  const crit = Buffer.from(
    JSON.stringify({ alg: 'RS256', kid: 'key-1', crit: ['x'], x: 1 }),
  ).toString('base64url')
  expect(await ask([crit, ...good.split('.').slice(1)].join('.'))).toBeNull()
})

test('the audience is compared exactly, and a token for two is refused', async () => {
  await using issuer = await startIssuer()
  const ask = gatewayWith([ruleOf(issuer.url)])
  expect(await ask(await issuer.sign({ ...job, aud: [aud] }))).toMatchObject({ kind: 'oidc' })
  for (const other of [`${aud}/`, 'https://github.com/acme', [aud, 'sts.amazonaws.com'], undefined])
    expect(codeOf(await ask(await issuer.sign({ ...job, aud: other })))).toBe('oidc-wrong-audience')
  const found = (await ask(
    await issuer.sign({ ...job, aud: 'https://github.com/acme' }),
  )) as Problem
  expect(found.message).toContain('"https://github.com/acme"')
  expect(found.message).not.toContain(aud)
})

test('a token is valid from iat and nbf to exp, with a minute for clocks', async () => {
  await using issuer = await startIssuer()
  const at = Math.floor(Date.now() / 1000)
  const token = await issuer.sign({ ...job, iat: at, nbf: at - 600, exp: at + 300 })
  const seen = async (seconds: number) =>
    codeOf(await gatewayWith([ruleOf(issuer.url)], { now: () => seconds * 1000 })(token))

  expect(await seen(at + 359)).toMatchObject({ kind: 'oidc' })
  expect(await seen(at + 360)).toBe('oidc-expired')
  expect(await seen(at - 60)).toMatchObject({ kind: 'oidc' })
  expect(await seen(at - 61)).toBe('oidc-clock')

  const ask = gatewayWith([ruleOf(issuer.url)])
  for (const claims of [{ exp: undefined }, { iat: undefined }, { exp: '9' }, { exp: 1e300 }])
    expect(codeOf(await ask(await issuer.sign({ ...job, ...claims })))).toBe('oidc-expired')
  expect(codeOf(await ask(await issuer.sign({ ...job, nbf: at + 900 })))).toBe('oidc-clock')
  const found = (await ask(await issuer.sign({ ...job, iat: at - 900, exp: at - 500 }))) as Problem
  expect(found.message).toContain(new Date((at - 500) * 1000).toISOString())
})

test('a token that lives longer than its rule allows is refused', async () => {
  await using issuer = await startIssuer()
  const at = Math.floor(Date.now() / 1000)
  const token = await issuer.sign({ ...job, exp: at + 7200 })
  expect(codeOf(await gatewayWith([ruleOf(issuer.url)])(token))).toBe('oidc-too-long')
  const longer = [ruleOf(issuer.url, { maxSeconds: 7200 })]
  expect(await gatewayWith(longer)(token)).toMatchObject({ kind: 'oidc' })
})

test('the first rule whose claims match decides; without one the caller sees its own claims', async () => {
  await using issuer = await startIssuer()
  const rules = [
    ruleOf(issuer.url, {
      name: 'main',
      claims: { repository_id: ['4711'], ref: ['refs/heads/main'] },
    }),
    ruleOf(issuer.url, {
      name: 'previews',
      claims: { repository_id: ['4711', '4712'], ref: ['refs/pull/*'] },
      scopes: ['preview'],
    }),
  ]
  const ask = gatewayWith(rules)
  expect(await ask(await issuer.sign(job))).toMatchObject({ name: 'main' })
  const pull = { ...job, ref: 'refs/pull/7/merge' }
  expect(await ask(await issuer.sign(pull))).toMatchObject({
    name: 'previews',
    scopes: ['preview'],
  })
  // Numbers and texts are the same.
  expect(await ask(await issuer.sign({ ...pull, repository_id: 4712 }))).toMatchObject({
    name: 'previews',
  })

  for (const claims of [
    { ref: 'refs/heads/main2' },
    { repository_id: '47' },
    { repository_id: ['4711'] },
    { repository_id: undefined },
  ]) {
    const found = (await ask(await issuer.sign({ ...job, ...claims }))) as Problem
    expect(codeOf(found)).toBe('oidc-no-rule')
    expect(found.message).toContain('acme/shop')
    expect(found.message).not.toMatch(/4712|previews/)
  }
})

test('a claim of every object is no claim of a token', async () => {
  await using issuer = await startIssuer()
  const ask = gatewayWith([ruleOf(issuer.url, { claims: { constructor: ['*'] } })])
  expect(codeOf(await ask(await issuer.sign(job)))).toBe('oidc-no-rule')
})

test('a new key of the issuer is found at once, and unknown keys ask it once in 30 s', async () => {
  await using issuer = await startIssuer()
  let at = Date.now()
  const keys = new IssuerKeys({ log, now: () => at })
  const ask = gatewayWith([ruleOf(issuer.url)], { keys })
  expect(await ask(await issuer.sign(job))).toMatchObject({ kind: 'oidc' })
  const rounds = () => issuer.asked.filter((path) => path.endsWith('/jwks')).length

  await issuer.rotate()
  issuer.forget()
  const fresh = await issuer.sign(job)
  for (let count = 0; count < 20; count++) expect(await ask(fresh)).toBeNull()
  expect(rounds()).toBe(1)
  at += 30_000
  const found = await Promise.all(Array.from({ length: 20 }, () => ask(fresh)))
  expect(found.every((each) => (each as { kind?: string })?.kind === 'oidc')).toBe(true)
  expect(rounds()).toBe(2)

  // The earlier key is withdrawn.
  const old = await issuer.sign(job, { kid: 'key-1' })
  expect(await ask(old)).toBeNull()
})

test('a known key goes on while its issuer is down, and an unknown one is a 503', async () => {
  let isDown = false
  await using issuer = await startIssuer((handler) => (req, res) => {
    if (isDown) return void res.writeHead(502).end()
    handler(req, res)
  })
  let at = Date.now()
  const warn = vi.fn()
  const keys = new IssuerKeys({ log: { warn } as never, now: () => at })
  const ask = gatewayWith([ruleOf(issuer.url)], { keys })
  const token = await issuer.sign(job)
  expect(await ask(token)).toMatchObject({ kind: 'oidc' })

  isDown = true
  at += 3_600_000
  expect(await ask(token)).toMatchObject({ kind: 'oidc' })
  await vi.waitFor(() => expect(warn).toHaveBeenCalledOnce())

  await issuer.rotate()
  at += 30_000
  const unknown = (await ask(await issuer.sign(job))) as Problem
  expect(unknown).toMatchObject({ code: 'oidc-issuer-unavailable', status: 503 })
  expect(unknown.facts['retryAfterSeconds']).toBe(30)
  expect(unknown.message).not.toContain('502')
  expect(JSON.stringify(warn.mock.calls)).toContain('answers 502')

  // After a day a withdrawn key could still be among the known ones.
  at += 86_400_000
  expect(codeOf(await ask(token))).toBe('oidc-issuer-unavailable')
  isDown = false
  at += 30_000
  expect(await ask(token)).toMatchObject({ kind: 'oidc' })
})

test.each([
  ['another issuer', { issuer: 'https://evil.example' }, 'names another issuer'],
  ['keys at another host', { jwks_uri: 'http://169.254.169.254/keys' }, 'at another host'],
  ['no keys', { keys: 'none' }, 'has no keys'],
])('discovery with %s is not believed', async (_, answer, reason) => {
  const reached: string[] = []
  await using issuer = await startIssuer((_handler) => (req, res) => {
    reached.push(req.url!)
    const origin = `http://${req.headers.host}`
    const usual = { issuer: origin, jwks_uri: `${origin}/keys` }
    res.end(JSON.stringify({ ...usual, ...answer }))
  })
  const warn = vi.fn()
  const ask = gatewayWith([ruleOf(issuer.url)], {
    keys: new IssuerKeys({ log: { warn } as never }),
  })
  expect(codeOf(await ask(await issuer.sign(job)))).toBe('oidc-issuer-unavailable')
  expect(JSON.stringify(warn.mock.calls)).toContain(reason)
})

test('a redirect, an answer without end and one that is no JSON are refused', async () => {
  let kind: 'redirect' | 'endless' | 'text' = 'redirect'
  const reached: string[] = []
  await using issuer = await startIssuer((handler) => (req, res) => {
    reached.push(req.url!)
    if (req.url === '/elsewhere') return handler(req, res)
    if (kind === 'redirect') return void res.writeHead(302, { location: '/elsewhere' }).end()
    if (kind === 'text') return void res.end('<html>')
    const more = () => {
      while (!res.destroyed && res.write('x'.repeat(65_536)));
      if (!res.destroyed) res.once('drain', more)
    }
    more()
  })
  const token = await issuer.sign(job)
  for (const each of ['redirect', 'endless', 'text'] as const) {
    kind = each
    const ask = gatewayWith([ruleOf(issuer.url)])
    expect(codeOf(await ask(token))).toBe('oidc-issuer-unavailable')
  }
  expect(reached).not.toContain('/elsewhere')
})

test('the end of an OIDC token is that of its caller: no token that it makes may outlive it', async () => {
  await using issuer = await startIssuer()
  const ask = gatewayWith([ruleOf(issuer.url, { scopes: ['admin'] })])
  const exp = Math.floor(Date.now() / 1000) + 300
  const caller = (await ask(await issuer.sign({ ...job, exp }))) as Principal
  expect(caller.expiresAt).toBe(exp * 1000)

  await using store = openSqliteStore(':memory:')
  await using table = await TokenTable.open({ store: store.tokens, log })
  const tokens = new Tokens(table, store.teams)
  const create = (more: object) => tokens.create(caller, NewToken.parse({ name: 'ci', ...more }))
  await expect(create({ expires: 'never' })).rejects.toMatchObject({ code: 'forbidden' })
  await expect(create({ expires: '90d' })).rejects.toMatchObject({ code: 'forbidden' })
  expect((await create({})).expiresAt).toBe(new Date(exp * 1000).toISOString())
})

test.each([
  ['too short', { n: 'sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri' }],
  ['without a modulus', { n: undefined }],
  ['half a private one', { d: 'AA' }],
])('a key of the issuer that is %s proves nobody', async (_, fault) => {
  await using issuer = await startIssuer()
  const token = await issuer.sign(job)
  Object.assign(issuer.keys[0]!.shown, fault)
  expect(await gatewayWith([ruleOf(issuer.url)])(token)).toBeNull()
})
