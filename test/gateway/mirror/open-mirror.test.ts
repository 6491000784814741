import { expect, test } from 'vitest'
import { readConfig } from '../../../gateway/src/config.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { openMirror } from '../../../gateway/src/mirror/open-mirror.ts'
import { Registry } from '../../../gateway/src/registry/registry.ts'
import { PushRegistry } from '../../fakes/push-registry.ts'

/** What names a machine of Fly in the environment of another host. */
const claims = { FLY_APP_NAME: 'builder', FLY_MACHINE_ID: '0e286039f42e86' }

test('a mirror is set up in a machine of Fly, and elsewhere only by its address', async () => {
  await using opening = new AsyncDisposableStack()
  const there = opening.use(await PushRegistry.start())
  const host = there.origin.replace('http://', '')
  const registry = opening.use(new Registry({ host, login: null, insecure: true }))
  const open = async (env: Record<string, string>) => {
    const config = readConfig({ ...claims, TARMAC_PUSH_PORT: '0', ...env })
    const { mirror, ports } = await openMirror(config, registry, openLog('silent'), opening)
    const { state, detail, url } = mirror.status()
    return { state, detail, url, ports: ports.length }
  }
  const none = { state: 'off', url: null, ports: 0 }
  expect(await open({})).toEqual({
    ...none,
    detail: 'The gateway does not run in a machine of Fly.',
  })
  expect(await open({ TARMAC_PUSH_MIRROR: 'off' })).toEqual({
    ...none,
    detail: 'TARMAC_PUSH_MIRROR is off.',
  })
  expect(await open({ TARMAC_PUSH_MIRROR: there.origin })).toMatchObject({
    state: 'down',
    url: there.origin,
    ports: 1,
  })
  expect(there.asked.length).toBeLessThanOrEqual(1) // the start does not wait for the first probe
})

test('the address of a mirror is an origin with plain HTTP', () => {
  expect(readConfig({}).mirror.origin).toBe('http://_api.internal:5000')
  for (const wrong of ['on', 'https://mirror:5000', 'http://mirror:5000/v2', 'http://a b'])
    expect(() => readConfig({ TARMAC_PUSH_MIRROR: wrong })).toThrow(
      'TARMAC_PUSH_MIRROR: must be auto, off, or http://host:port',
    )
})
