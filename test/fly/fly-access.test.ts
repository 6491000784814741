import { afterEach, beforeEach, expect, test } from 'vitest'
import { FlyAccess } from '#fly/fly-access.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { FakeFly } from '../fakes/machines-api.ts'

let fake: FakeFly
beforeEach(async () => void (fake = await FakeFly.start()))
afterEach(() => fake[Symbol.asyncDispose]())

async function look(org: string, token = 'secret') {
  await using fly = new MachinesApi({ baseUrl: fake.url, token })
  return await new FlyAccess(fly, org).look()
}

test('a valid token of the organisation is right', async () => {
  expect(await look('personal')).toEqual({
    ok: true,
    isRefused: false,
    detail: 'organisation personal',
  })
})

test.each([
  ['personal', 'wrong', 'TARMAC_FLY_TOKEN: '],
  ['others', 'secret', 'does not reach organisation others (TARMAC_FLY_ORG)'],
])(
  'organisation %s with a token that is %s: the part that is wrong is named',
  async (org, token, words) => {
    expect(await look(org, token)).toEqual({
      ok: false,
      isRefused: true,
      detail: expect.stringContaining(words),
    })
  },
)

test('a Fly that does not answer has refused nothing', { timeout: 20_000 }, async () => {
  fake.faults.push(...Array.from({ length: 9 }, () => ({ on: /orgs/, fault: 'before' as const })))
  expect(await look('personal')).toMatchObject({ ok: false, isRefused: false })
})

test('Fly is asked once for many looks', async () => {
  await using fly = new MachinesApi({ baseUrl: fake.url, token: 'secret' })
  const access = new FlyAccess(fly, 'personal')
  await Promise.all([access.look(), access.look()])
  await access.look()
  expect(fake.calls).toHaveLength(1)
})

test('a look that waits only a moment knows nothing of a Fly that answers later', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
  const access = new FlyAccess({ checkOrg: () => answered, checkToken: () => answered }, 'personal')
  expect(await access.lookWithin(1)).toMatchObject({ ok: false, isRefused: false })
  answer()
  expect(await access.lookWithin(60_000)).toMatchObject({ ok: true })
})
