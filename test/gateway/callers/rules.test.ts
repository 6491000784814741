import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { type NewRule, readRule } from '../../../api/callers/rule.ts'
import { githubIssuer } from '../../../api/callers/issuers.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { rightsOf, Rules } from '../../../gateway/src/callers/rules.ts'
import { readConfig } from '../../../gateway/src/config.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const rule = {
  name: 'github:acme/shop',
  issuer: githubIssuer,
  aud: 'http://tarmac.flycast',
  claims: { repository_id: '4711' },
  scopes: ['deploy'],
  apps: ['shop'],
}

test('rules are kept, in their order, behind those of the settings', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-rules-'))
  try {
    const fixed = [readRule({ ...rule, name: 'fixed' })]
    const path = join(dir, 'db')
    await using store = openSqliteStore(path)
    const rules = await Rules.open(store.rules, fixed)
    await rules.add({ ...operator, name: 'token:ops' }, readRule(rule))
    await rules.add(operator, readRule({ ...rule, name: 'a' }))
    const again = await Rules.open(store.rules, fixed)
    expect(again.all()).toEqual(rules.all())
    expect(again.all().map(({ name, origin, createdBy }) => [name, origin, createdBy])).toEqual([
      ['fixed', 'settings', null],
      ['github:acme/shop', 'stored', 'token:ops'],
      ['a', 'stored', 'operator'],
    ])

    for (const name of ['fixed', 'a'])
      await expect(rules.add(operator, readRule({ ...rule, name }))).rejects.toMatchObject({
        code: 'rule-exists',
      })
    const { proof } = rightsOf(rules.all().find(({ name }) => name === 'a')!)
    proof.assertHolds()
    await rules.remove(operator, 'a')
    expect(proof.ended().aborted).toBe(true)
    expect(() => proof.assertHolds()).toThrow('was removed meanwhile')
    expect(rules.all()).toHaveLength(2)
    await expect(rules.remove(operator, 'a')).rejects.toMatchObject({ code: 'rule-not-found' })
    await expect(rules.remove(operator, 'fixed')).rejects.toMatchObject({ code: 'rule-fixed' })
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('the last use of a rule is kept, also of one of the settings; it is written once a minute', async () => {
  await using store = openSqliteStore(':memory:')
  const written = vi.spyOn(store.rules, 'noteUses')
  const open = () => Rules.open(store.rules, [readRule({ ...rule, name: 'fixed' })])
  const lastUses = async (rules: Rules) =>
    (await rules.list(operator)).map(({ name, lastUsedAt }) => [name, lastUsedAt])
  vi.useFakeTimers({ now: Date.parse('2026-11-30T05:00:00Z') })
  try {
    const rules = await open()
    const used = await rules.add(operator, readRule(rule))
    expect(await lastUses(rules)).toEqual([
      ['fixed', null],
      ['github:acme/shop', null],
    ])
    for (let times = 0; times < 100; times++) rightsOf(used)
    expect(written).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(written).toHaveBeenCalledTimes(1)

    rightsOf(rules.all()[0]!)
    await rules[Symbol.asyncDispose]() // writes what is left
    const again = await open()
    expect(await lastUses(again)).toEqual([
      ['fixed', '2026-11-30T05:01:00.000Z'],
      ['github:acme/shop', '2026-11-30T05:00:00.000Z'],
    ])
    // Another rule of that name was never used.
    await again.remove(operator, rule.name)
    await again.add(operator, readRule(rule))
    expect((await lastUses(again))[1]).toEqual(['github:acme/shop', null])
  } finally {
    vi.useRealTimers()
  }
})

test.each([
  ['an unknown scope', { scopes: ['everything'] }, 'scopes.0'],
  ['no scope', { scopes: [] }, 'scopes'],
  ['an unknown field', { role: 'x' }, 'role'],
  ['no claim', { claims: {} }, 'everybody would match'],
  ['no audience', { aud: null }, 'aud: is missing'],
  ['an app that is no name', { apps: ['Shop!'] }, 'apps.0'],
  ['no app at all', { apps: [] }, 'apps'],
  ['a star in the middle', { claims: { repository: 'acme/*-x' } }, 'claims.repository'],
  ['an open prefix of owners', { claims: { repository: 'acme*' } }, 'name no tenant'],
  ['an open prefix of subjects', { claims: { sub: 'repo:acme*' } }, 'name no tenant'],
  ['a branch of anybody', { claims: { ref: 'refs/heads/main' } }, 'name no tenant'],
  ['a prefix of an id', { claims: { repository_id: '47*' } }, 'name no tenant'],
  ['plain HTTP', { issuer: 'http://gitlab.acme.com' }, 'issuer: is the https address'],
  ['a file', { issuer: 'file:///etc/passwd' }, 'issuer: is the https address'],
  ['a password in the issuer', { issuer: 'https://a:b@gitlab.acme.com' }, 'no user, password'],
  ['a name of another caller', { name: 'operator' }, 'belongs to other callers'],
  ['a name of a token', { name: 'token:ci' }, 'belongs to other callers'],
  ['an audience for Tailscale', { issuer: 'tailscale', claims: { login: '*' } }, 'has no tokens'],
  ['a life of a week', { maxSeconds: 604_800 }, 'maxSeconds'],
])('a rule with %s is refused', (_, more, reason) => {
  const read = () => readRule({ ...rule, ...more })
  expect(read).toThrow(expect.objectContaining({ code: 'rule-invalid' }))
  expect(read).toThrow(reason)
})

test.each([
  { claims: { repository_owner_id: '42' } },
  { claims: { repository: 'acme/*' } },
  { claims: { repository: ['acme/shop', 'acme/blog'] } },
  { claims: { sub: 'repo:acme@42/shop@4711:*' } },
  { issuer: 'https://gitlab.com', claims: { project_path: 'acme/shop' } },
  { issuer: 'https://oidc.fly.io/acme', claims: { app_name: 'ci' } },
  { issuer: 'https://ghe.acme.com/_services/token', claims: { ref: 'refs/heads/main' } },
  { issuer: 'http://127.0.0.1:9000', claims: { ref: 'refs/heads/main' } },
  { issuer: 'tailscale', aud: null, claims: { login: '*' } },
])('a rule with %o is accepted', (more) => {
  expect(readRule({ ...rule, ...more })).toMatchObject({ scopes: ['deploy'], maxSeconds: 3900 })
})

test('the setting is JSON or a file, and opens the gateway to its callers alone', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-rules-'))
  try {
    const text = JSON.stringify([rule])
    await writeFile(join(dir, 'rules.json'), text)
    const read = (env: Record<string, string>): NewRule[] => readConfig(env).oidcRules
    for (const value of [text, join(dir, 'rules.json')])
      expect(read({ TARMAC_OIDC_RULES: value, TARMAC_HOST: '0.0.0.0' })).toEqual([readRule(rule)])
    expect(() => read({ TARMAC_OIDC_RULES: '[]', TARMAC_HOST: '0.0.0.0' })).toThrow('TARMAC_TOKENS')
    expect(() => read({ TARMAC_OIDC_RULES: '/no/file' })).toThrow('the path of a file')
    expect(() => read({ TARMAC_OIDC_RULES: '[{"name":"x"}]' })).toThrow('rule 0.issuer')
    expect(() => read({ TARMAC_OIDC_RULES: JSON.stringify([rule, rule]) })).toThrow('the same name')
  } finally {
    await rm(dir, { recursive: true })
  }
})

test('trusted proxies have a kind and an address or a range', () => {
  const read = (value: string) => readConfig({ TARMAC_TRUSTED_PROXIES: value }).trustedProxies
  expect(read('tailscale=127.0.0.1, fly=172.16.0.0/16,fly=fdaa::/16')).toEqual([
    { kind: 'tailscale', range: '127.0.0.1' },
    { kind: 'fly', range: '172.16.0.0/16' },
    { kind: 'fly', range: 'fdaa::/16' },
  ])
  for (const value of ['127.0.0.1', 'nginx=127.0.0.1', 'fly=10.0.0.0/33', 'fly=::/129', 'fly=host'])
    expect(() => read(value)).toThrow('TARMAC_TRUSTED_PROXIES')
})
