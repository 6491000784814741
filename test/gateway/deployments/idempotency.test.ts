import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import {
  assertSameRequest,
  fingerprintOf,
  requestOf,
} from '../../../gateway/src/deployments/idempotency.ts'

const fresh = {
  id: 'd1',
  app: 'shop',
  options: DeploymentOptions.parse({}),
  source: { digest: 'sha256:aa', files: 1, sizeBytes: 2 },
}
const print = (more: object = {}) => fingerprintOf(requestOf({ ...fresh, ...more }))

test('a request is the same with another id or key, and another with other options, source, image or secrets', () => {
  for (const same of [{ id: 'd2' }, { idempotencyKey: 'k' }]) expect(print(same)).toBe(print())
  for (const other of [
    { options: { ...fresh.options, rebuild: true } },
    { source: { ...fresh.source, digest: 'sha256:bb' } },
    { image: { reference: 'r@sha256:cc', digest: 'sha256:cc', tags: [] } },
    { secretsFingerprint: 'other' },
    { requestBody: { retry: 'd0' } },
  ])
    expect(print(other)).not.toBe(print())
})

test('an option that a later gateway adds without a value changes no fingerprint', () => {
  expect(fingerprintOf({ a: 1, later: null, more: undefined })).toBe(fingerprintOf({ a: 1 }))
})

test('a key of another request is refused, and names what the other made', () => {
  assertSameRequest(print(), requestOf(fresh), 'request to shop')
  expect(() => assertSameRequest(print(), {}, 'rollout')).toThrow(
    expect.objectContaining({
      code: 'idempotency-mismatch',
      message: 'The Idempotency-Key was used for another rollout; choose a new one.',
    }),
  )
})
