import { expect, test, vi } from 'vitest'
import { NewToken, Rotation } from '../../../api/callers/token.ts'
import { operator, type Principal } from '../../../gateway/src/callers/principal.ts'
import { TokenTable } from '../../../gateway/src/callers/tokens/token-table.ts'
import { Tokens } from '../../../gateway/src/callers/tokens/tokens.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const begin = Date.parse('2026-11-30T12:00:00Z')
const minute = 60_000
const day = 86_400_000

/** Tokens over a real store, with a clock that the test moves. */
async function open(store = openSqliteStore(':memory:')) {
  const clock = { now: begin }
  const now = () => clock.now
  const deps = { store: store.tokens, log: openLog('silent'), now }
  const table = await TokenTable.open(deps)
  const tokens = new Tokens(table, store.teams)
  return {
    store,
    clock,
    table,
    tokens,
    create: (wanted: object, caller = operator) =>
      tokens.create(caller, NewToken.parse({ name: 'ci', ...wanted })),
    link: (caller = operator, expires = '15m') =>
      tokens.createLink(caller, { app: 'shop', owner: null }, { expires }),
    rotate: (name: string, how: object = {}, caller = operator) =>
      tokens.rotate(caller, name, Rotation.parse(how)),
    login: (bearer: string) =>
      table.authenticate({ bearer, headers: {}, address: '10.0.0.1' }) as Principal | null,
    again: async () => {
      await table[Symbol.asyncDispose]()
      return TokenTable.open(deps)
    },
  }
}

const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run()
    return 'ran'
  } catch (error) {
    return (error as { code: string }).code
  }
}

test('a token proves a caller with its own rights, also after a restart; the store has no secret', async () => {
  const { create, login, again, store } = await open()
  const { token, ...facts } = await create({ scopes: ['deploy'], apps: ['shop', 'pr-*'] })
  const caller = {
    kind: 'token',
    name: 'token:ci',
    tokenId: facts.id,
    scopes: ['deploy'],
    apps: ['shop', 'pr-*'],
    owners: null,
    teams: null,
    address: '10.0.0.1',
    expiresAt: begin + 90 * day,
  }
  expect(login(token)).toMatchObject(caller)
  expect(login(token)!.link).toBeUndefined()
  expect(
    (await again()).authenticate({ bearer: token, headers: {}, address: '10.0.0.1' }),
  ).toMatchObject(caller)
  expect(JSON.stringify(await store.tokens.all())).not.toContain(token.slice(16, 59))
})

test('an unknown token, and the right id with another secret, prove nobody', async () => {
  const { create, login, tokens } = await open()
  const { id, token } = await create({})
  await create({ name: 'other' })
  expect(login('a-token-of-the-setting')).toBeNull()
  const foreign = await open()
  const { token: unknown } = await foreign.create({})
  expect(login(unknown)).toBeNull()
  expect(await codeOf(() => login(token.slice(0, -1)))).toBe('token-damaged')
  expect((await tokens.find(operator, id)).lastUsedAt).toBeNull()
})

test('an expired and a revoked token say so, but only to a caller with the right secret', async () => {
  const { create, login, tokens, clock } = await open()
  const first = await create({ name: 'first', expires: '15m' })
  const second = await create({ name: 'second', expires: 'never' })
  clock.now += 15 * minute
  expect(await codeOf(() => login(first.token))).toBe('token-expired')
  expect(login(second.token)).not.toBeNull()
  await tokens.revoke(operator, 'second')
  expect(await codeOf(() => login(second.token))).toBe('token-revoked')
  expect(await tokens.revoke(operator, second.id)).toMatchObject({ state: 'revoked' }) // again: the same
})

test('revocation and expiry end what a token has open, at once', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const { create, login, tokens, clock } = await open()
    const [a, b] = [await create({ name: 'a' }), await create({ name: 'b', expires: '15m' })]
    const [first, second] = [login(a.token)!.proof!, login(b.token)!.proof!]
    const [endOfFirst, endOfSecond] = [first.ended(), second.ended()]
    await tokens.revoke(operator, 'a')
    expect([endOfFirst.aborted, endOfSecond.aborted]).toEqual([true, false])
    expect(() => first.assertHolds()).toThrow('The token a was revoked')

    clock.now += 15 * minute
    vi.advanceTimersByTime(15 * minute)
    expect(endOfSecond.aborted).toBe(true)
    expect(() => second.assertHolds()).toThrow('The token b has expired')
  } finally {
    vi.useRealTimers()
  }
})

test('rotation gives a new secret; the old one ends at once, or after the overlap', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const { create, login, rotate, tokens, clock, again } = await open()
    const { id, token } = await create({})
    const opened = login(token)!.proof!.ended()
    const next = await rotate('ci')
    expect([next.id, next.oldSecretUntil, opened.aborted]).toEqual([id, null, true])
    expect(await codeOf(() => login(token))).toBe('token-revoked')

    const last = await rotate('ci', { overlap: '10m' })
    expect(last.oldSecretUntil).toBe('2026-11-30T12:10:00.000Z')
    const openedByOld = login(next.token)!.proof!.ended()
    expect(login(last.token)!.tokenId).toBe(id)
    expect(await codeOf(() => login(token))).toBe('ran') // forgotten: unknown, like any wrong token
    expect(login(token)).toBeNull()

    const table = await again()
    const asked = (bearer: string) => table.authenticate({ bearer, headers: {}, address: '::1' })
    expect([asked(next.token), asked(last.token)]).toMatchObject([{ tokenId: id }, { tokenId: id }])
    clock.now += 10 * minute
    vi.advanceTimersByTime(10 * minute)
    expect(openedByOld.aborted).toBe(true)
    expect(await codeOf(() => login(next.token))).toBe('token-revoked')
    expect(login(last.token)).not.toBeNull()
    expect((await tokens.find(operator, 'ci')).oldSecretUntil).toBeNull()
  } finally {
    vi.useRealTimers()
  }
})

test('only a token that works gets a new secret', async () => {
  const { create, rotate, tokens, link } = await open()
  const { id } = await create({})
  await tokens.revoke(operator, 'ci')
  expect(await codeOf(() => rotate(id))).toBe('token-not-found')
  expect(await codeOf(async () => rotate((await link()).id))).toBe('token-not-found')
  await create({ name: 'next' })
  expect(await codeOf(() => rotate('next', { overlap: '8d' }))).toBe('option-invalid')
})

test('nobody makes a token that may do more than its maker', async () => {
  const { create, rotate, link, store } = await open()
  await store.teams.create('acme')
  const maker: Principal = {
    ...operator,
    kind: 'token',
    name: 'token:maker',
    apps: ['shop', 'pr-*'],
    owners: ['alice', 'bob'],
    teams: ['acme'],
    expiresAt: begin + day,
  }
  const made = await create({ name: 'same', scopes: ['admin'] }, maker)
  expect(made).toMatchObject({
    scopes: ['admin'],
    apps: ['shop', 'pr-*'],
    owners: ['alice', 'bob'],
    team: 'acme',
    expiresAt: '2026-12-01T12:00:00.000Z',
    createdBy: 'token:maker',
  })
  const within = { apps: ['pr-12', 'pr-1*'], owners: ['bob'], team: 'acme', expires: '1h' }
  expect(await codeOf(() => create({ name: 'within', ...within }, maker))).toBe('ran')
  for (const stronger of [
    { apps: ['other'] },
    { apps: ['shop', 'p*'] },
    { apps: ['shop*'] },
    { owners: ['carol'] },
    { team: 'other' },
    { expires: 'never' },
    { expires: '2d' },
  ])
    expect([stronger, await codeOf(() => create({ name: 'x', ...stronger }, maker))]).toEqual([
      stronger,
      'forbidden',
    ])
  const reader: Principal = { ...operator, scopes: ['deploy'] }
  expect(await codeOf(() => create({ name: 'x', scopes: ['secrets'] }, reader))).toBe('forbidden')
  expect(await codeOf(() => create({ name: 'x', scopes: ['read', 'deploy'] }, reader))).toBe('ran')
  expect(await codeOf(() => link({ ...operator, expiresAt: begin + minute }))).toBe('forbidden')

  // A rotation shows a secret, so it has the same rule.
  await create({ name: 'longer', apps: ['shop'], owners: ['bob'], team: 'acme', expires: '2d' })
  expect(await codeOf(() => rotate('longer', {}, maker))).toBe('forbidden')
  expect(await codeOf(() => rotate('longer', { expires: '1h' }, maker))).toBe('ran')
  expect(await codeOf(() => rotate('longer', { expires: 'never' }, maker))).toBe('forbidden')
})

test('a caller sees no token that reaches further than itself, except what it made', async () => {
  const { create, tokens, rotate } = await open()
  await create({ name: 'all' })
  await create({ name: 'other', apps: ['other'] })
  await create({ name: 'shop', apps: ['shop'] })
  const maker: Principal = { ...operator, kind: 'token', name: 'token:maker', apps: ['shop'] }
  const page = { limit: 20, before: null, all: false }
  const listed = await tokens.list(maker, page)
  expect(listed.tokens.map(({ name }) => name)).toEqual(['shop'])
  for (const name of ['all', 'other', 'none'])
    for (const run of [
      () => tokens.find(maker, name),
      () => tokens.revoke(maker, name),
      () => rotate(name, {}, maker),
    ])
      expect(await codeOf(run)).toBe('token-not-found')
  expect((await tokens.list(operator, page)).tokens).toHaveLength(3)
})

test('a name is free again after its token ended; each team has its own names', async () => {
  const { create, tokens, clock, store } = await open()
  await store.teams.create('acme')
  await create({ expires: '15m' })
  expect(await codeOf(() => create({}))).toBe('token-name-taken')
  expect((await create({ team: 'acme' })).team).toBe('acme')
  expect(await codeOf(() => tokens.find(operator, 'ci'))).toBe('option-invalid') // two have this name
  clock.now += 15 * minute
  expect(await codeOf(() => create({}))).toBe('ran')
})

test('revoking a token revokes its unused deploy links, and says what else it made', async () => {
  const { create, tokens, link, login } = await open()
  const { token } = await create({ scopes: ['admin'] })
  const maker = login(token)!
  const own = await link(maker)
  await create({ name: 'child' }, maker)
  expect(await tokens.revoke(operator, 'ci')).toMatchObject({ stillValid: ['child'] })
  expect(await codeOf(() => login(own.token))).toBe('token-revoked')
})

test('a deploy link lives for minutes, and what it began in time goes on', async () => {
  const { link, login, clock } = await open()
  const { token, expiresAt } = await link()
  expect(expiresAt).toBe('2026-11-30T12:15:00.000Z')
  const caller = login(token)!
  expect(caller).toMatchObject({ scopes: ['deploy'], apps: ['shop'], link: { deployment: null } })
  clock.now += 15 * minute
  expect(await codeOf(() => login(token))).toBe('token-expired')
  expect(await codeOf(() => caller.proof!.assertHolds())).toBe('ran')
  expect(caller.proof!.ended().aborted).toBe(false)
  expect(await codeOf(() => link(operator, '2h'))).toBe('option-invalid')
  expect(await codeOf(() => link(operator, '59s'))).toBe('option-invalid')
})

test('a deploy link is in the team of its app, whoever made it', async () => {
  const { store, link } = await open()
  expect((await link()).team).toBeNull()
  await store.teams.create('acme')
  await store.teams.create('other')
  await store.teams.moveApp('shop', 'acme')
  const inBoth: Principal = { ...operator, kind: 'token', teams: ['acme', 'other'] }
  expect([(await link()).team, (await link(inBoth)).team]).toEqual(['acme', 'acme'])
})

test('one caller has at most 100 open deploy links', async () => {
  const { link, clock } = await open()
  for (let n = 0; n < 100; n++) await link()
  expect(await codeOf(() => link())).toBe('token-limit')
  expect(await codeOf(() => link({ ...operator, name: 'token:other' }))).toBe('ran')
  clock.now += 15 * minute
  expect(await codeOf(() => link())).toBe('ran')
})

test('a token is forgotten 30 days after its end, a deploy link after one day', async () => {
  const { create, link, clock, store, login } = await open()
  const names = async () => (await store.tokens.all()).map(({ name }) => name.slice(0, 4))
  const { token } = await create({ name: 'old', expires: '1h' })
  await link()
  clock.now += day + 20 * minute
  await create({ name: 'a' })
  expect(await names()).toEqual(['old', 'a'])
  clock.now += 30 * day
  await create({ name: 'b' })
  expect(await names()).toEqual(['a', 'b'])
  expect(login(token)).toBeNull()
})

test('the last use is written once a minute, in the background, and at the end', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const { create, login, tokens, clock, store, table } = await open()
    const written: number[] = []
    const noteUses = store.tokens.noteUses.bind(store.tokens)
    store.tokens.noteUses = (uses) => {
      written.push(uses.length)
      return noteUses(uses)
    }
    const [a, b] = [await create({ name: 'a' }), await create({ name: 'b' })]
    for (let n = 0; n < 500; n++) login(n % 2 ? a.token : b.token)
    clock.now += 1000
    login(a.token)
    expect(written).toEqual([])
    expect((await tokens.find(operator, 'a')).lastUsedAt).toBe('2026-11-30T12:00:01.000Z')
    vi.advanceTimersByTime(minute)
    expect(written).toEqual([2])
    vi.advanceTimersByTime(10 * minute)
    expect(written).toEqual([2])
    login(b.token)
    await table[Symbol.asyncDispose]()
    expect(written).toEqual([2, 1])
    expect((await store.tokens.all()).map(({ lastUsedAt }) => lastUsedAt)).toEqual([
      '2026-11-30T12:00:01.000Z',
      '2026-11-30T12:00:01.000Z',
    ])
  } finally {
    vi.useRealTimers()
  }
})

test('tokens are listed by pages, newest first', async () => {
  const { create, tokens } = await open()
  for (let n = 0; n < 250; n++) await create({ name: `t${n}` })
  const names: string[] = []
  let before: string | null = null
  do {
    const page = await tokens.list(operator, { limit: 100, before, all: false })
    names.push(...page.tokens.map(({ name }) => name))
    before = page.next
  } while (before !== null)
  expect(names).toEqual(Array.from({ length: 250 }, (_, n) => `t${249 - n}`))
})

test('the next token of a name does not see what the one before it made', async () => {
  const { create, tokens, login } = await open()
  const first = login((await create({ name: 'boss', scopes: ['admin'], apps: ['shop'] })).token)!
  const made = await create({ name: 'child' }, first)
  await tokens.revoke(operator, 'boss')
  const next = login((await create({ name: 'boss', scopes: ['admin'], apps: ['blog'] })).token)!
  expect(next.name).toBe(first.name)
  expect((await tokens.find(first, made.id)).name).toBe('child')
  expect(await codeOf(() => tokens.revoke(next, made.id))).toBe('token-not-found')
})

test('no token has rights in a team that does not exist', async () => {
  const { create, store } = await open()
  expect(await codeOf(() => create({ team: 'acme' }))).toBe('team-not-found')
  await store.teams.create('acme')
  expect(await codeOf(() => create({ team: 'acme' }))).toBe('ran')
  const limited: Principal = { ...operator, kind: 'token', teams: ['acme'] }
  expect(await codeOf(() => create({ name: 'x', team: 'nobodys' }, limited))).toBe('forbidden')
})

test('a deploy link has the team of its app, whoever makes it', async () => {
  const { link, store } = await open()
  expect((await link()).team).toBe(null) // there is only one
  await store.teams.create('acme')
  expect((await link()).team).toBe('default')
  await store.teams.moveApp('shop', 'acme')
  expect((await link()).team).toBe('acme')
  expect((await link({ ...operator, teams: ['acme', 'web'] })).team).toBe('acme')
})

test('one caller makes at most 1,000 deploy links a day, so that places for tokens are left', async () => {
  const { link, clock } = await open()
  const caller: Principal = { ...operator, kind: 'token', name: 'token:ci', scopes: ['deploy'] }
  for (let made = 0; made < 1000; made++) {
    if (made % 100 === 0) clock.now += 16 * minute
    await link(caller)
  }
  clock.now += 16 * minute
  expect(await codeOf(() => link(caller))).toBe('token-limit')
  expect(await codeOf(() => link())).toBe('ran')
  clock.now += day
  expect(await codeOf(() => link())).toBe('ran') // forgets the old ones
  expect(await codeOf(() => link(caller))).toBe('ran')
})

test('the last uses of many tokens are written in parts, so that requests do not wait long', async () => {
  const { store, create, login, table } = await open()
  for (let n = 0; n < 1100; n++) login((await create({ name: `ci-${n}` })).token)
  const written = vi.spyOn(store.tokens, 'noteUses')
  await table[Symbol.asyncDispose]()
  expect(written.mock.calls.map(([uses]) => uses.length)).toEqual([500, 500, 100])
  expect((await store.tokens.all()).filter(({ lastUsedAt }) => lastUsedAt === null)).toEqual([])
})
