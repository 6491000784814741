import { expect, test } from 'vitest'
import type { QuotaFact } from '../../api/callers/quotas.ts'
import { readCommandLine } from '../../client/src/command-line.ts'
import { limitsText, teamsText, teamText } from '../../client/src/teams/render-teams.ts'
import { changeText } from '../../client/src/teams/teams.ts'

const env = { TARMAC_GATEWAY: 'http://tarmac:8080' }
const read = (text: string) => readCommandLine(text.split(' '), env)

test('tarmac team and tarmac limits read their arguments, and nothing else', () => {
  expect(read('limits')).toMatchObject({ name: 'team', verb: 'limits' })
  expect(read('team list')).toMatchObject({ name: 'team', verb: 'list' })
  expect(read('team create acme')).toMatchObject({ verb: 'create', team: 'acme' })
  expect(read('team add-member acme token:ci')).toMatchObject({
    verb: 'add-member',
    team: 'acme',
    what: 'token:ci',
  })
  expect(read('team set-quota acme builds=2 queue=none machines=default')).toMatchObject({
    verb: 'set-quota',
    team: 'acme',
    quotas: { builds: 2, queue: 'none', machines: null },
  })
  expect(read('apps --team acme')).toMatchObject({ query: new URLSearchParams({ team: 'acme' }) })
  for (const wrong of [
    'team',
    'team make acme',
    'team list acme',
    'team create',
    'team create a b',
    'team add-app acme',
    'team add-app acme shop more',
    'team set-quota acme',
    'limits more',
  ])
    expect(() => read(wrong), wrong).toThrow(/^The usage is: tarmac (?:team list|limits)/)
  expect(() => read('team set-quota acme bilds=2')).toThrow(
    'There is no quota bilds. Did you mean builds?',
  )
  for (const wrong of ['builds', 'builds=', 'builds=-1', 'builds=two'])
    expect(() => read(`team set-quota acme ${wrong}`), wrong).toThrow(/builds is a whole number/)
})

const fact = (more: Partial<QuotaFact>): QuotaFact => ({
  quota: 'builds',
  what: 'builds at once',
  limit: 2,
  used: 1,
  resetsAt: null,
  from: 'team',
  ...more,
})
const perDay = fact({
  quota: 'builds-per-day',
  what: 'builds',
  limit: 50,
  used: 3,
  from: 'default',
  resetsAt: '2026-05-02T00:00:00Z',
})
const acme = {
  name: 'acme',
  createdAt: '2026-05-01T12:00:00.000Z',
  apps: ['blog', 'shop'],
  members: ['github:acme/shop', 'token:ci'],
  quotas: [fact({}), perDay, fact({ quota: 'queue', limit: null })],
}

test('teams are shown with what they have and use', () => {
  expect(teamsText([]).join()).toContain('There are no teams')
  expect(teamsText([acme, { ...acme, name: 'default', members: [], quotas: [] }])).toEqual([
    'TEAM     MEMBERS  APPS  QUOTAS',
    'acme           2     2  builds 2, builds-per-day 50',
    'default        0     2',
  ])
  expect(teamText(acme)).toEqual([
    'team      acme, since 2026-05-01',
    'members   github:acme/shop, token:ci',
    'apps      blog, shop',
    'quotas    builds: 1 of 2 builds at once',
    '          builds-per-day: 3 of 50 builds, until 2026-05-02 00:00 UTC',
  ])
  expect(teamText({ ...acme, members: [], apps: [], quotas: [] })).toEqual([
    'team      acme, since 2026-05-01',
    'members   none; to add one: tarmac team add-member acme token:NAME',
    'apps      none',
    'quotas    none',
  ])
})

test('limits name the team only where there are several', () => {
  const limits = [
    { name: 'archive as sent', value: 2 ** 31, unit: 'bytes', setting: 'TARMAC_MAX_UPLOAD_MIB' },
    { name: 'archive', value: 250_000, unit: 'entries', setting: null },
  ]
  const ofGateway = [
    '',
    'LIMIT OF THE GATEWAY          AT MOST  SETTING',
    'archive as sent               2147 MB  TARMAC_MAX_UPLOAD_MIB',
    'archive               250,000 entries',
  ]
  expect(limitsText({ quotas: [perDay], limits })).toEqual([
    'QUOTA           USED',
    'builds-per-day  3 of 50 builds, until 2026-05-02 00:00 UTC',
    ...ofGateway,
  ])
  expect(limitsText({ quotas: [{ team: 'acme', ...fact({ used: null }) }], limits })).toEqual([
    'TEAM  QUOTA   USED',
    'acme  builds  an unknown number of 2 builds at once',
    ...ofGateway,
  ])
  expect(limitsText({ quotas: [], limits })).toEqual(['No quota limits this caller.', ...ofGateway])
})

test('a change says what it means for the member or the app', () => {
  expect(changeText('remove-member', 'acme', 'token:ci')).toBe(
    'token:ci is in team acme no more; without another team it sees no app (to give it those of no team: tarmac team add-member default token:ci)',
  )
  expect(changeText('remove-app', 'acme', 'shop')).toBe('shop is an app of team default now')
})
