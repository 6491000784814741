import { expect, test } from 'vitest'
import { plannerReads } from '../../../gateway/src/railpack/plan-variables.ts'
import { assertPlannerCall } from '../../../gateway/src/privileged/planner-call.ts'

const allowed = {
  railpack: '/usr/local/bin/railpack',
  searchPath: '/usr/bin:/bin',
  variables: plannerReads,
  mayRead: ['/data', '/usr/local/bin/railpack', '/etc/ssl'],
  namespace: '/run/netns/tarmac_p1',
}
const call = {
  command: '/usr/local/bin/railpack',
  env: { PATH: '/usr/bin:/bin', RAILPACK_INSTALL_CMD: 'make', REDIS_URL: 'redis://x' },
  readOnlyMounts: { '/source/shop': '/data/trees/1/root', '/etc/ssl': '/etc/ssl' },
  network: '/run/netns/tarmac_p1',
}

test('the planner runs with its own source and network, or with no network', () => {
  expect(() => assertPlannerCall(call, allowed)).not.toThrow()
  expect(() => assertPlannerCall({ ...call, network: null }, allowed)).not.toThrow()
})

test.each([
  ['another program', { command: '/bin/sh' }, '/bin/sh is not the planner'],
  ['another network', { network: '/proc/1/ns/net' }, 'is not the planner’s network'],
  [
    'a file of the machine',
    { readOnlyMounts: { '/a': '/etc/shadow' } },
    'may not read /etc/shadow',
  ],
  ['a way out of the volume', { readOnlyMounts: { '/a': '/data/../etc' } }, 'may not read'],
  ['code for the programs of root', { env: { LD_PRELOAD: '/data/evil.so' } }, 'LD_PRELOAD'],
  ['a shell’s own file', { env: { ENV: '/data/evil.sh' } }, 'ENV=/data/evil.sh'],
  ['other programs for root', { env: { PATH: '/data:/usr/bin' } }, 'PATH=/data:/usr/bin'],
  ['a name that begins alike', { readOnlyMounts: { '/a': '/database' } }, 'may not read'],
])('the privileged process refuses %s', (_what, changed, words) => {
  expect(() => assertPlannerCall({ ...call, ...changed }, allowed)).toThrow(words)
})
