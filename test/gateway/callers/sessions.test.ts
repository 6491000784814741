import { expect, test } from 'vitest'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { Sessions, sessionMs } from '../../../gateway/src/callers/sessions/sessions.ts'
import {
  maxSessionsOfCaller,
  type StoredSession,
} from '../../../gateway/src/deployments/callers/session-store.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const token = 'tmc_a-token-of-a-caller'
const other = { ...operator, name: 'token:ci' }

/** Sessions over the real store, with a clock of the test. */
function open() {
  const clock = { now: Date.parse('2026-11-30T12:00:00.000Z') }
  const now = () => clock.now
  const store = openSqliteStore(':memory:', { now })
  return { clock, store, sessions: new Sessions({ store: store.sessions, now }) }
}

test('a session gives its token back for its cookie, for 12 hours', async () => {
  const { clock, store, sessions } = open()
  await using _ = store
  const { cookie, expiresAt } = await sessions.open(operator, token)
  expect(expiresAt).toBe('2026-12-01T00:00:00.000Z')
  const found = (await sessions.find(cookie))!
  expect(found.token).toBe(token)
  expect(await sessions.find(`${cookie.slice(1)}a`)).toBeNull()
  clock.now += sessionMs
  expect(await sessions.find(cookie)).toBeNull()
  expect(() => found.proof.assertHolds()).toThrow('The session has ended')
})

test('the store has neither the cookie nor the token', async () => {
  const kept: StoredSession[] = []
  const none = async () => {}
  const sessions = new Sessions({
    store: {
      add: async (session) => void kept.push(session),
      find: async () => null,
      remove: none,
      removeAll: async () => [],
    },
  })
  const { cookie } = await sessions.open(operator, token)
  const { hash, token: sealed, ...rest } = kept[0]!
  const stored = Buffer.concat([hash, sealed, Buffer.from(JSON.stringify(rest))]).toString('latin1')
  expect(stored).toContain('operator')
  for (const secret of [token, cookie]) expect(stored).not.toContain(secret)
})

test('a caller ends all its sessions, and none of others; streams end with them', async () => {
  const { store, sessions } = open()
  await using _ = store
  const [one, two, three] = [
    await sessions.open(operator, token),
    await sessions.open(operator, token),
    await sessions.open(other, token),
  ]
  const stream = (await sessions.find(one.cookie))!.proof.ended()
  const kept = (await sessions.find(three.cookie))!.proof.ended()
  await sessions.endAll(operator)
  expect([stream.aborted, kept.aborted]).toEqual([true, false])
  expect(await sessions.find(two.cookie)).toBeNull()
  await sessions.end(other, three.cookie)
  expect([kept.aborted, await sessions.find(three.cookie)]).toEqual([true, null])
})

test('a caller keeps its newest sessions', async () => {
  const { store, sessions } = open()
  await using _ = store
  const first = await sessions.open(operator, token)
  const ofOther = await sessions.open(other, token)
  const second = await sessions.open(operator, token)
  for (let at = 1; at < maxSessionsOfCaller; at++) await sessions.open(operator, token)
  expect(await sessions.find(first.cookie)).toBeNull()
  expect(await sessions.find(second.cookie)).not.toBeNull()
  expect(await sessions.find(ofOther.cookie)).not.toBeNull()
})
