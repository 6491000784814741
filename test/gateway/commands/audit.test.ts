import { expect, test } from 'vitest'
import { AuditPage } from '../../../api/callers/audit.ts'
import { Problem } from '../../../api/problem.ts'
import { changedFields, smallFacts } from '../../../gateway/src/commands/audit/facts.ts'
import { openRecorder } from '../../../gateway/src/commands/audit/recorder.ts'
import type { AuditTrail, EndedCall } from '../../../gateway/src/deployments/audit/audit-trail.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { authorization, startHttp, token } from '../http/start-http.ts'

type Http = Awaited<ReturnType<typeof startHttp>>
const json = { ...authorization, 'Content-Type': 'application/json' }

async function entriesOf({ url }: Http, query = '') {
  const answer = await fetch(`${url}/v1/audit${query}`, { headers: authorization })
  return AuditPage.parse(await answer.json()).entries
}

test('a change is recorded with its caller, its target and the fields that differ', async () => {
  await using http = await startHttp()
  const patch = (body: object) =>
    fetch(`${http.url}/v1/apps/shop`, {
      method: 'PATCH',
      headers: json,
      body: JSON.stringify(body),
    })
  await patch({ builds: 2, lane: 'fifo' })
  await patch({ builds: 4 })
  expect(await entriesOf(http, '?app=shop')).toMatchObject([
    {
      command: 'changeSettings',
      caller: { name: 'operator', kind: 'operator', tokenId: null, address: '127.0.0.1' },
      targets: [{ app: 'shop', owner: null }],
      before: { builds: 2 },
      after: { builds: 4 },
      result: 'ok',
    },
    { before: null, after: { builds: 2, lane: 'fifo' } },
  ])
})

test('what a command refuses is recorded with the code of the problem', async () => {
  await using http = await startHttp()
  await fetch(`${http.url}/v1/deployments/no-such/cancel`, {
    method: 'POST',
    headers: authorization,
  })
  const [entry] = await entriesOf(http, '?result=failed')
  expect(entry).toMatchObject({ command: 'cancel', result: 'deployment-not-found', targets: [] })
  expect(entry!.asked).toEqual({ id: 'no-such', abort: false })
})

test('a caller without the right is recorded too, and reads are not', async () => {
  const reader = {
    ...operator,
    kind: 'token',
    name: 'token:ci',
    tokenId: 't1',
    scopes: ['read'],
  } as const
  await using http = await startHttp({
    authenticate: ({ bearer }) => (bearer === token ? operator : { ...reader, apps: ['shop'] }),
  })
  const other = { Authorization: 'Bearer other-token-of-tests' }
  for (const app of ['shop', 'blog'])
    await fetch(`${http.url}/v1/apps/${app}`, {
      method: 'PATCH',
      headers: { ...json, ...other },
      body: '{"builds":2}',
    })
  await fetch(`${http.url}/v1/apps/shop/deployments`, { headers: other })
  expect(await entriesOf(http, '?caller=token:*')).toMatchObject([
    { command: 'changeSettings', targets: [{ app: 'blog' }], result: 'app-not-found' },
    {
      command: 'changeSettings',
      targets: [{ app: 'shop' }],
      result: 'forbidden',
      caller: { tokenId: 't1' },
    },
  ])
})

test('a deployment that is refused before its upload is recorded as one', async () => {
  const ci = { ...operator, kind: 'token', name: 'token:ci', apps: ['shop'] } as const
  await using http = await startHttp({
    authenticate: ({ bearer }) =>
      bearer === token ? operator : { ...ci, scopes: [bearer === 'reader' ? 'read' : 'deploy'] },
  })
  const send = (
    bearer: string,
    method: string,
    path: string,
    body: string | FormData = 'an archive',
  ) => fetch(http.url + path, { method, headers: { Authorization: `Bearer ${bearer}` }, body })
  await send('reader', 'PUT', '/deploy/shop')
  await send('ci', 'PUT', '/deploy/blog')
  await send('ci', 'POST', '/v1/apps/shop/deployments?lane=reject')
  await send('ci', 'POST', '/v1/apps/shop/deployments?lane=reject')
  const form = new FormData()
  form.set('rollout', '{"targets":[{"app":"blog"}]}')
  form.set('source', new Blob(['an archive']))
  await send('ci', 'POST', '/v1/rollouts', form)

  const all = await entriesOf(http, '?caller=token:*')
  expect(all.map(({ command, targets, result }) => [command, targets[0]?.app, result])).toEqual([
    ['createRollout', 'blog', 'app-not-found'],
    ['submit', 'shop', 'lane-busy'],
    ['submit', 'shop', 'ok'],
    ['submit', 'blog', 'app-not-found'],
    ['submit', 'shop', 'forbidden'],
  ])
})

test('changes of tokens, rules and teams are recorded by name, with what was before and after', async () => {
  await using http = await startHttp()
  const send = (method: string, path: string, body?: object) =>
    fetch(`${http.url}/v1/${path}`, {
      method,
      headers: json,
      ...(body && { body: JSON.stringify(body) }),
    })
  await send('POST', 'tokens', { name: 'ci', apps: ['shop'] })
  await send('DELETE', 'tokens/ci')
  await send('DELETE', 'tokens/nobody')
  const claims = { domain: ['acme.com'] }
  const rule = { name: 'people', issuer: 'tailscale', claims, scopes: ['read'], apps: null }
  await send('POST', 'rules', rule)
  await send('DELETE', 'rules/people')
  await send('POST', 'teams', { name: 'acme' })
  await send('PUT', 'teams/acme/members/token%3Aci')
  await send('PUT', 'teams/acme/apps/shop')
  await send('PATCH', 'teams/acme/quotas', { builds: 2 })
  await send('PATCH', 'teams/acme/quotas', { builds: null, queue: 5 })

  const { name, ...rights } = rule
  const all = await entriesOf(http, '?to=2100-01-01')
  expect(all.filter(({ command }) => command !== 'audit.segment').toReversed()).toMatchObject([
    { asked: { name: 'ci', apps: ['shop'] }, after: { scopes: ['deploy'], apps: ['shop'] } },
    { asked: { token: 'ci' }, after: { name: 'ci', state: 'revoked' }, made: null },
    { asked: { token: 'nobody' }, result: 'token-not-found' },
    { asked: { name }, before: null, after: { claims, scopes: rights.scopes } },
    { asked: { name }, before: { claims, scopes: rights.scopes }, after: null },
    { asked: { team: 'acme' } },
    {
      asked: { team: 'acme', member: 'token:ci' },
      before: { teams: [] },
      after: { teams: ['acme'] },
    },
    {
      asked: { team: 'acme', app: 'shop' },
      before: { teamOfApp: 'default' },
      after: { teamOfApp: 'acme' },
    },
    { asked: { quotas: { builds: 2 } }, before: null, after: { builds: 2 } },
    { before: { builds: 2 }, after: { queue: 5 } },
  ])
})

test('the value of a secret is in no entry, and a token that a caller puts elsewhere is redacted', async () => {
  await using http = await startHttp()
  await fetch(`${http.url}/v1/apps/shop/secrets/NPM`, {
    method: 'PUT',
    headers: authorization,
    body: 'very-secret-value',
  })
  await fetch(`${http.url}/v1/deployments/x/cancel?why=${token}`, {
    method: 'POST',
    headers: authorization,
  })
  const text = JSON.stringify(await entriesOf(http))
  expect(text).toContain('"asked":{"name":"NPM"}')
  expect(text).not.toContain('very-secret-value')
  expect(text).not.toContain(token)
})

test('a limited caller sees what concerns its apps alone', async () => {
  const limited = { ...operator, kind: 'token', name: 'token:ci', apps: ['shop'] } as const
  await using http = await startHttp({
    authenticate: ({ bearer }) => (bearer === token ? operator : limited),
  })
  for (const app of ['shop', 'blog'])
    await fetch(`${http.url}/v1/apps/${app}`, {
      method: 'PATCH',
      headers: json,
      body: '{"builds":2}',
    })
  const answer = await fetch(`${http.url}/v1/audit`, {
    headers: { Authorization: 'Bearer other-token-of-tests' },
  })
  const { entries } = AuditPage.parse(await answer.json())
  expect(entries.map(({ targets }) => targets)).toEqual([[{ app: 'shop', owner: null }]])
})

test('a filter that no entry can match is refused, with what was meant', async () => {
  await using http = await startHttp()
  const detailOf = async (query: string) => {
    const answer = await fetch(`${http.url}/v1/audit?${query}`, { headers: authorization })
    return ((await answer.json()) as { detail?: string }).detail
  }
  expect(await detailOf('command=sumbit')).toMatch(
    /^The option command is invalid: no entry has sumbit\. Did you mean submit\? The commands are submit, .*tokens\.create, /,
  )
  expect(await detailOf('command=token.create')).toContain('Did you mean tokens.create?')
  expect(await detailOf('result=forbiden')).toContain('Did you mean forbidden?')
  for (const fine of ['command=tokens.revoke', 'command=audit.segment', 'result=failed'])
    expect(await detailOf(fine), fine).toBeUndefined()
})

test('an export has each entry on its own line', async () => {
  await using http = await startHttp()
  const patch = (builds: number) =>
    fetch(`${http.url}/v1/apps/shop`, {
      method: 'PATCH',
      headers: json,
      body: JSON.stringify({ builds }),
    })
  // At once, so that they share transactions.
  await Promise.all(Array.from({ length: 130 }, (_, at) => patch(at + 1)))
  const answer = await fetch(`${http.url}/v1/audit`, {
    headers: { ...authorization, Accept: 'application/x-ndjson' },
  })
  expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
  const lines = (await answer.text()).trimEnd().split('\n')
  expect(lines).toHaveLength(131)
  expect(JSON.parse(lines[0]!)).toMatchObject({ command: 'changeSettings', result: 'ok' })
})

test.each([
  ['?from=yesterday', 'from'],
  ['?to=2026-13-40', 'to'],
  ['?cursor=x', 'cursor'],
  ['?who=me', 'who'],
])('refuses %s and names the option', async (query, name) => {
  await using http = await startHttp()
  const answer = await fetch(`${http.url}/v1/audit${query}`, { headers: authorization })
  expect(answer.status).toBe(422)
  expect(await answer.text()).toContain(name)
})

const call = {
  command: 'deleteApp',
  caller: operator,
  changes: true,
  targets: [{ app: 'shop', owner: null }],
  args: [],
  newApps: [],
}
const find = {} as never
const redact = <T>(value: T) => value
const log = openLog('silent')

test('a call does not run if its first entry cannot be written', async () => {
  const full = () => Promise.reject(new Error('disk full'))
  const recorder = openRecorder({ trail: { began: full } as unknown as AuditTrail, redact, log })
  let ran = false
  const run = async () => void (ran = true)
  await expect(recorder.record(call, run, find)).rejects.toThrow('disk full')
  expect(ran).toBe(false)
})

test('a change that happened is answered as one, also if its second entry cannot be written', async () => {
  const trail = {
    began: async () => ({ number: 1, at: '' }),
    ended: () => Promise.reject(new Error('disk full')),
  } as unknown as AuditTrail
  const recorder = openRecorder({ trail, redact, log })
  expect(await recorder.record(call, async () => 'done', find)).toBe('done')
})

test('an error that is no problem is recorded as internal', async () => {
  const ended: EndedCall[] = []
  const trail = {
    began: async () => ({ number: 1, at: '' }),
    ended: async (entry: EndedCall) => void ended.push(entry),
  } as unknown as AuditTrail
  const run = () => Promise.reject(new TypeError('a bug'))
  await expect(openRecorder({ trail, redact, log }).record(call, run, find)).rejects.toThrow(
    'a bug',
  )
  expect(ended).toMatchObject([{ result: 'internal', began: { number: 1 } }])
})

test('facts are small: long values are cut, and too many are replaced by their names', () => {
  expect(smallFacts({ a: 'x'.repeat(600), b: null, c: undefined })).toEqual({
    a: `${'x'.repeat(500)}…`,
  })
  const many = Object.fromEntries(Array.from({ length: 900 }, (_, at) => [`NAME_${at}`, 'value']))
  expect(JSON.stringify(smallFacts(many)).length).toBeLessThan(4100)
  expect(smallFacts({ a: undefined })).toBe(null)
  expect(smallFacts(undefined)).toBe(null)
})

test('only the fields that differ are kept', () => {
  expect(changedFields({ a: 1, b: [1], c: 2 }, { a: 1, b: [2], d: 3 })).toEqual({
    before: { b: [1], c: 2 },
    after: { b: [2], d: 3 },
  })
})

test('of the calls that a caller has no right to, twenty a minute are recorded, and how many were not', async () => {
  const ended: EndedCall[] = []
  const trail = {
    ended: async (entry: EndedCall) => void ended.push(entry),
  } as unknown as AuditTrail
  let minute = 100
  const recorder = openRecorder({ trail, redact, log, now: () => minute * 60_000 })
  const caller = { ...operator, kind: 'token', name: 'token:ci', tokenId: 't1' } as const
  const why = new Problem('forbidden', 'No.')
  for (let at = 0; at < 50; at++) await recorder.refused({ ...call, caller }, why)
  expect(ended).toHaveLength(20)
  await recorder.refused(call, why) // of another caller
  expect(ended).toHaveLength(21)

  minute++
  for (let at = 0; at < 2; at++) await recorder.refused({ ...call, caller }, why)
  expect(ended.slice(21).map(({ asked }) => asked?.['unrecordedBefore'])).toEqual([30, undefined])
})

test('of a refused call with many targets the first twenty are recorded', async () => {
  const ended: EndedCall[] = []
  const trail = {
    ended: async (entry: EndedCall) => void ended.push(entry),
  } as unknown as AuditTrail
  const targets = Array.from({ length: 1000 }, (_, at) => ({ app: `app-${at}` }))
  await openRecorder({ trail, redact, log }).refused({ ...call, targets }, new Error('no'))
  expect(ended[0]!.targets).toHaveLength(20)
})
