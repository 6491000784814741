import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readFlyToml } from '../../gateway/src/flytoml/read-fly-toml.ts'

test('on Fly the gateway stops itself, the next request starts it, and its check is /healthz', () => {
  const toml = readFileSync(join(import.meta.dirname, '../../gateway/fly.toml'), 'utf8')
  const config = readFlyToml(
    toml,
    () => null,
    () => {},
  ).groups.get('app')!
  expect(config).toMatchObject({
    restart: { policy: 'on-failure' },
    services: [{ autostart: true, autostop: false, checks: [{ type: 'http', path: '/healthz' }] }],
  })
})
