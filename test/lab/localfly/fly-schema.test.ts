import { expect, test, vi } from 'vitest'
import { FlySchema } from '../../../lab/localfly/fly-schema.ts'

const machines = '/apps/:app/machines'

test('answers in Fly’s shape pass: a machine, an envelope of a lease, a refusal that the document does not name', () => {
  const schema = new FlySchema()
  schema.check('get', machines, 200, [
    { id: 'a', cordoned: false, config: { image: 'x', unknown: true } },
  ])
  schema.check('post', `${machines}/:id/lease`, 201, {
    status: 'success',
    data: { nonce: 'a', expires_at: 1 },
  })
  schema.check('post', '/apps', 422, { error: 'Name has already been taken', status: 'name_taken' })
  schema.check('post', `${machines}/:id/metadata/:key`, 204, undefined)
  expect(schema.breaches).toEqual([])
})

test.each([
  [
    'a field that is not Fly’s',
    'get',
    machines,
    200,
    [{ id: 'a', own: {} }],
    'must NOT have additional properties',
  ],
  [
    'a field of another type',
    'get',
    machines,
    200,
    [{ config: { image: 1 } }],
    '/0/config/image must be string',
  ],
  [
    'a field within an envelope',
    'get',
    `${machines}/:id/lease`,
    200,
    { data: { nonce: 1 } },
    '/data/nonce',
  ],
  ['a status that Fly does not give', 'post', '/apps', 200, {}, 'no answer 200'],
  [
    'a refusal without a reason',
    'get',
    machines,
    404,
    { message: 'no' },
    'must NOT have additional properties',
  ],
  ['a call that Fly does not have', 'get', '/apps/:app/pods', 200, [], 'no such call'],
])('%s is a breach', (_what, method, path, status, body, words) => {
  using said = vi.spyOn(console, 'error').mockReturnValue()
  const schema = new FlySchema()
  expect(() => schema.check(method, path, status, body)).toThrow(words)
  expect(schema.breaches).toEqual([expect.stringContaining(words)])
  expect(said).toHaveBeenCalledOnce()
})

test('an error in a config is reported with its position', () => {
  const schema = new FlySchema()
  const service = {
    internal_port: 80,
    autostop: true,
    checks: [{ type: 'tcp', interval: 15_000_000_000 }],
  }
  expect(schema.wrongConfig({ image: 'x', services: [service] })).toBeNull()
  expect(schema.wrongConfig({ image: 'x', restart: { policy: 'sometimes' } })).toContain(
    '/restart/policy',
  )
})
