import { expect, test } from 'vitest'
import type { OwnQuotas } from '../../../api/callers/quotas.ts'
import { Admission } from '../../../gateway/src/callers/admission.ts'
import { operator, type Principal } from '../../../gateway/src/callers/principal.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const start = Date.parse('2026-05-01T12:00:10.000Z')
const caller = (name: string, more: Partial<Principal> = {}): Principal => ({
  ...operator,
  kind: 'token',
  name,
  scopes: ['deploy'],
  ...more,
})
const mib = 2 ** 20

function open(quotas: OwnQuotas = {}) {
  const clock = { ms: start }
  const now = () => clock.ms
  const store = openSqliteStore(':memory:', { now, quotas })
  return { clock, store, ...store, admission: new Admission({ ...store, now }) }
}
const problem = (call: () => unknown) => {
  try {
    call()
  } catch (error) {
    return error as { code: string; message: string; facts: object }
  }
  return null
}

test('while there is only the default team, callers have no team', async () => {
  const { admission, teams } = open()
  expect(admission.inTeams(caller('token:ci')).teams).toBeNull()
  await teams.create('acme')
  expect(admission.inTeams(caller('token:ci')).teams).toEqual(['default'])
})

test('a member has its teams, at once; the operator and unlimited administrators have all', async () => {
  const { admission, teams } = open()
  await teams.create('acme')
  await teams.addMember('acme', 'token:ci')
  expect(admission.inTeams(caller('token:ci')).teams).toEqual(['acme'])
  expect(admission.inTeams(caller('token:ci', { scopes: ['admin'] })).teams).toEqual(['acme'])
  expect(admission.inTeams(caller('token:boss', { scopes: ['admin'] })).teams).toBeNull()
  expect(admission.inTeams(caller('t', { scopes: ['admin'], apps: ['a'] })).teams).toEqual([
    'default',
  ])
  expect(admission.inTeams(operator).teams).toBeNull()
  await teams.addMember('web', 'token:ci')
  expect(admission.inTeams(caller('token:ci')).teams).toEqual(['acme', 'web'])
})

test('a member that left its last team sees nothing, also when that team is deleted', async () => {
  const { admission, teams } = open()
  await teams.create('acme')
  await teams.addMember('acme', 'token:ci')
  await teams.addMember('acme', 'token:b')
  await teams.removeMember('acme', 'token:ci')
  expect(admission.inTeams(caller('token:ci')).teams).toEqual([])
  await teams.remove('acme')
  expect(teams.isAlone).toBe(true)
  for (const name of ['token:ci', 'token:b'])
    expect(admission.inTeams(caller(name)).teams).toEqual([])
  await teams.addMember('default', 'token:ci')
  expect(admission.inTeams(caller('token:ci')).teams).toEqual(['default'])
})

test('requests are counted per minute and team; the next minute begins at 0', () => {
  const { admission, clock } = open({ 'requests-per-minute': 2 })
  admission.request(caller('token:a'))
  admission.request(caller('token:b'))
  for (let n = 0; n < 9; n++) admission.request(operator)
  const refused = problem(() => admission.request(caller('token:a')))
  expect(refused).toMatchObject({
    code: 'quota-reached',
    message:
      'The quota requests-per-minute is reached: 2 of 2 requests in this minute. It resets at 2026-05-01T12:01:00Z, in 50 s. The operator of the gateway can raise it.',
    facts: {
      quota: 'requests-per-minute',
      used: 2,
      limit: 2,
      resetsAt: '2026-05-01T12:01:00Z',
      retryAfterSeconds: 50,
    },
  })
  expect(refused?.facts).not.toHaveProperty('team')
  clock.ms = Date.parse('2026-05-01T12:01:00.000Z')
  expect(problem(() => admission.request(caller('token:a')))).toBeNull()
})

test('teams have their own count and their own value, and a refusal names the team', async () => {
  const { admission, teams } = open({ 'requests-per-minute': 1 })
  await teams.create('acme')
  await teams.addMember('acme', 'token:a')
  await teams.setQuotas('acme', { 'requests-per-minute': 2 })
  for (let n = 0; n < 2; n++) admission.request(caller('token:a'))
  admission.request(caller('token:b'))
  expect(problem(() => admission.request(caller('token:a')))?.message).toMatch(
    /^Team acme has reached its quota requests-per-minute: 2 of 2 requests/,
  )
  await teams.setQuotas('acme', { 'requests-per-minute': null })
  expect(problem(() => admission.request(caller('token:a')))).toBeNull()
  expect(problem(() => admission.request(caller('token:b')))?.message).toMatch(/^Team default/)
})

test('uploads at once are refused until one ends', async () => {
  const { admission } = open({ uploads: 1 })
  const upload = { announcedBytes: 0, arrivedBytes: () => 5 }
  const first = admission.upload(caller('token:a'), upload)
  expect(problem(() => admission.upload(caller('token:b'), upload))).toMatchObject({
    code: 'quota-reached',
    message:
      'The quota uploads is reached: 1 of 1 uploads at once. Send this again when there are fewer. The operator of the gateway can raise it.',
    facts: { resetsAt: null, retryAfterSeconds: 5 },
  })
  await first[Symbol.asyncDispose]()
  expect(problem(() => admission.upload(caller('token:b'), upload))).toBeNull()
})

test('bytes count once, when the upload ends, and those that arrive count meanwhile', async () => {
  const { admission, store, clock } = open({ 'upload-mib-per-day': 10 })
  let arrived = 0
  const ci = caller('token:ci')
  const one = admission.upload(ci, { announcedBytes: 0, arrivedBytes: () => arrived })
  arrived = 4 * mib
  expect(problem(() => one.assertWithin())).toBeNull()
  expect(
    problem(() => admission.upload(ci, { announcedBytes: 7 * mib, arrivedBytes: () => 0 }))
      ?.message,
  ).toContain('4 of 10 MiB of uploads today (UTC), and this needs 7 more. It resets at')
  arrived = 11 * mib
  expect(problem(() => one.assertWithin())?.code).toBe('quota-reached')
  await one[Symbol.asyncDispose]()
  expect(store.quotas.usedOf('default', 'upload-mib-per-day')).toBe(11)
  expect(admission.usedOf('default', 'upload-mib-per-day')).toBe(11)
  expect(
    problem(() => admission.upload(ci, { announcedBytes: 0, arrivedBytes: () => 0 })),
  ).not.toBe(null)
  clock.ms += 86_400_000
  expect(admission.usedOf('default', 'upload-mib-per-day')).toBe(0)
})

test('the fields of an answer have the limit, what is left, and the seconds until it is full again', async () => {
  const { admission } = open({ 'requests-per-minute': 600, uploads: 4, 'upload-mib-per-day': 1 })
  const ci = caller('token:ci')
  for (let n = 0; n < 12; n++) admission.request(ci)
  admission.upload(ci, { announcedBytes: 1000, arrivedBytes: () => 0 })
  expect(admission.fieldsFor(ci)).toEqual({
    'RateLimit-Policy':
      '"requests-per-minute";q=600;w=60, "uploads";q=4;qu="concurrent-requests", "upload-mib-per-day";q=1048576;qu="content-bytes";w=86400',
    RateLimit:
      '"requests-per-minute";r=588;t=50, "uploads";r=3, "upload-mib-per-day";r=1047576;t=43190',
  })
  expect(admission.fieldsFor(operator)).toEqual({})
  expect(open().admission.fieldsFor(ci)).toEqual({})
})

test('a caller of a team that was deleted is in no team', async () => {
  const { admission, teams } = open()
  await teams.create('acme')
  const ofTeam = caller('token:acme/ci', { teams: ['acme'] })
  expect(admission.inTeams(ofTeam).teams).toEqual(['acme'])
  await teams.remove('acme')
  expect(admission.inTeams(ofTeam).teams).toEqual([])
})

test('a clock that was set back refuses nobody for longer than a minute', () => {
  const { admission, clock } = open({ 'requests-per-minute': 1 })
  clock.ms += 3_600_000
  admission.request(caller('token:ci'))
  expect(problem(() => admission.request(caller('token:ci')))?.code).toBe('quota-reached')
  clock.ms -= 3_600_000
  expect(problem(() => admission.request(caller('token:ci')))).toBe(null)
})
