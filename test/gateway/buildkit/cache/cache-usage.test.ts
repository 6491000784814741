import { expect, test } from 'vitest'
import { CacheUsage } from '../../../../api/status/cache.ts'
import {
  type CacheRecord,
  mountKeyOf,
  recordOf,
} from '../../../../gateway/src/buildkit/cache/cache-records.ts'
import {
  aboveLimit,
  aboveShare,
  recordsOf,
  type Survey,
  unusedSince,
  usageOf,
} from '../../../../gateway/src/buildkit/cache/cache-usage.ts'
import { noteUsers } from '../../../../gateway/src/buildkit/cache/cache-users.ts'
import { UsageRecord } from '../../../../gateway/src/buildkit/messages.ts'

const record = (id: string, more: Partial<CacheRecord> = {}): CacheRecord => ({
  id,
  inUse: false,
  sizeBytes: 1,
  createdMs: 0,
  lastUsedMs: 0,
  kind: 'layer',
  mountKey: null,
  parents: [],
  ...more,
})
const names = (users: ReadonlyMap<string, ReadonlySet<string>>) =>
  Object.fromEntries([...users].map(([id, apps]) => [id, [...apps].toSorted().join('+')]))

test('the cache key of a mount is the one that the daemon wrote, whatever the command says', () => {
  expect(mountKeyOf('cached mount /root/.npm from exec npm ci with id "abc/npm"')).toBe('abc')
  expect(mountKeyOf('cached mount /c from exec sh -c x with id "abc-npm"')).toBe('abc')
  const forged = `cached mount /c from exec echo with id "victim/npm" with id ${JSON.stringify('mine/ with id "victim/x')}`
  expect(mountKeyOf(forged)).toBe('mine')
  expect(mountKeyOf('cached mount /c from exec x')).toBe(null)
  expect(mountKeyOf('mount / from exec x with id ""')).toBe(null)
})

test('a record of the daemon is read with its kind and its times', () => {
  const usage = (fields: Parameters<typeof UsageRecord.encode>[0]) =>
    recordOf(UsageRecord.decode(UsageRecord.encode(fields)))
  const at = { createdAt: { seconds: 5, nanos: 0 }, lastUsedAt: { seconds: 7, nanos: 5e8 } }
  expect(usage({ id: 'a', description: 'http url http://127.0.0.1/x', ...at })).toMatchObject({
    kind: 'source',
    createdMs: 5000,
    lastUsedMs: 7500,
  })
  const mount = {
    type: 'exec.cachemount',
    description: 'cached mount /x from exec y with id "k-i"',
  }
  expect(usage({ id: 'b', ...mount })).toMatchObject({ kind: 'mount', mountKey: 'k' })
  // Never used since it was made: the daemon gives no time.
  expect(usage({ id: 'c', createdAt: { seconds: 5, nanos: 0 } })).toMatchObject({
    kind: 'layer',
    lastUsedMs: 5000,
  })
})

test('a record belongs to the apps whose builds ran when it was made or used, and earlier ones stay', () => {
  const records = [
    record('base', { createdMs: 10, lastUsedMs: 90 }),
    record('of web', { createdMs: 12, lastUsedMs: 18 }),
    record('both at once', { createdMs: 55, lastUsedMs: 56 }),
    record('of nobody', { createdMs: 1, lastUsedMs: 2 }),
  ]
  const uses = [
    { app: 'web', fromMs: 10, toMs: 20 },
    { app: 'api', fromMs: 50, toMs: 60 },
    { app: 'web', fromMs: 54, toMs: 58 },
    { app: 'docs', fromMs: 80, toMs: Infinity },
  ]
  const users = noteUsers(new Map(), records, uses)
  expect(names(users)).toEqual({
    base: 'docs+web',
    'of web': 'web',
    'both at once': 'api+web',
    'of nobody': '',
  })
  const later = noteUsers(users, records.slice(0, 2), [{ app: 'api', fromMs: 90, toMs: 91 }])
  expect(names(later)).toEqual({ base: 'api+docs+web', 'of web': 'web' })
})

test('what a layer was made from has the users of that layer', () => {
  const records = [
    record('root', { createdMs: 1, lastUsedMs: 1 }),
    record('middle', { createdMs: 1, lastUsedMs: 1, parents: ['root', 'gone'] }),
    record('leaf', { createdMs: 5, lastUsedMs: 5, parents: ['middle'] }),
  ]
  const known = new Map([['root', new Set(['web'])]])
  const users = noteUsers(known, records, [{ app: 'api', fromMs: 4, toMs: 6 }])
  expect(names(users)).toEqual({ root: 'api+web', middle: 'api', leaf: 'api' })
})

const survey: Survey = {
  records: [
    record('base', { sizeBytes: 100, lastUsedMs: 9 }),
    record('web layer', { sizeBytes: 20, lastUsedMs: 8 }),
    record('web source', { sizeBytes: 5, kind: 'source' }),
    record('web mount', { sizeBytes: 7, kind: 'mount', mountKey: 'w' }),
    record('api mount', { sizeBytes: 3, kind: 'mount', mountKey: 'a' }),
    record('canary', { sizeBytes: 2 }),
    record('old', { sizeBytes: 1 }),
  ],
  users: new Map([
    ['base', new Set(['web', 'api'])],
    ['web layer', new Set(['web'])],
    ['web source', new Set(['web'])],
    ['web mount', new Set(['web', 'api'])], // both built then, but the key names the app
    ['canary', new Set(['network canary'])],
  ]),
  keys: new Map([
    ['w', 'web'],
    ['a', 'api'],
  ]),
}

test('every byte of the cache counts once: for one app, as shared, or as other', () => {
  const usage = usageOf(survey)
  expect(CacheUsage.parse({ ...usage, maxBytes: null, appBytes: null })).toMatchObject(usage)
  expect(usage).toEqual({
    totalBytes: 138,
    sharedBytes: 100,
    otherBytes: 3,
    apps: [
      {
        app: 'web',
        bytes: 32,
        mountBytes: 7,
        sourceBytes: 5,
        sharedBytes: 100,
        lastUsedAt: new Date(9).toISOString(),
      },
      {
        app: 'api',
        bytes: 3,
        mountBytes: 3,
        sourceBytes: 0,
        sharedBytes: 100,
        lastUsedAt: new Date(9).toISOString(),
      },
    ],
  })
})

const ids = (records: readonly CacheRecord[]) => records.map(({ id }) => id)

test('of an app alone are the records that no other app uses', () => {
  expect(ids(recordsOf(survey, 'web'))).toEqual(['web layer', 'web source', 'web mount'])
  expect(ids(recordsOf(survey, 'unknown'))).toEqual([])
})

test('what was unused for too long goes, unless a build uses it', () => {
  const records = [
    record('a', { lastUsedMs: 5 }),
    record('b', { lastUsedMs: 5, inUse: true }),
    record('c', { lastUsedMs: 6 }),
  ]
  expect(ids(unusedSince({ ...survey, records }, 6))).toEqual(['a'])
})

test('an app above its limit loses the least recently used, children first, and nothing shared', () => {
  const of = (app: string) => new Set([app])
  const records = [
    record('parent', { sizeBytes: 10, lastUsedMs: 1 }),
    record('child', { sizeBytes: 10, lastUsedMs: 50, parents: ['parent'] }),
    record('oldest', { sizeBytes: 10, lastUsedMs: 2 }),
    record('running', { sizeBytes: 10, lastUsedMs: 0, inUse: true }),
    record('shared', { sizeBytes: 900, lastUsedMs: 0 }),
    record('small', { sizeBytes: 1, lastUsedMs: 0 }),
  ]
  const users = new Map([
    ['parent', of('web')],
    ['child', of('web')],
    ['oldest', of('web')],
    ['running', of('web')],
    ['shared', new Set(['web', 'api'])],
    ['small', of('api')],
  ])
  const above = (bytes: number) => ids(aboveLimit({ records, users, keys: new Map() }, bytes))
  expect(above(40)).toEqual([])
  expect(above(39)).toEqual(['oldest'])
  expect(above(25)).toEqual(['oldest', 'child'])
  expect(above(5)).toEqual(['oldest', 'child', 'parent'])
})

test('a team above its share loses what its apps used longest ago, and others lose nothing', () => {
  const one = (id: string, lastUsedMs: number) => record(id, { sizeBytes: 10, lastUsedMs })
  const records = [one('a1', 3), one('a2', 1), one('a3', 2), one('b1', 0)]
  const users = new Map(records.map(({ id }) => [id, new Set([id])]))
  const survey = { records, users, keys: new Map<string, string>() }
  const above = (percent: number | null) => {
    const percentOf = (team: string) => (team === 'a' ? percent : null)
    return ids(aboveShare(survey, { teamOf: (app) => app[0]!, percentOf }, 100))
  }
  expect(above(null)).toEqual([])
  expect(above(30)).toEqual([])
  expect(above(29)).toEqual(['a2'])
  expect(above(15)).toEqual(['a2', 'a3'])
  expect(above(1)).toEqual(['a2', 'a3', 'a1'])
})
