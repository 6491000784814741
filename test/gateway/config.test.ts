import { expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'

test.each([
  ['TARMAC_TOTAL_TIMEOUT', '2000000', '2592000'],
  ['TARMAC_DRAIN', '2000000', '1e12'],
  ['TARMAC_KEEP_SOURCES_DAYS', '36500', '1e9'],
  ['TARMAC_KEEP_LOG_DAYS', '36500', '1e9'],
  ['TARMAC_BASE_REFRESH', '876000', '1e9'],
  ['TARMAC_MAX_UPLOAD_MIB', '1e9', '1e12'],
])('%s is at most %s, within what a timer, a date or a number can hold', (name, most, tooMuch) => {
  readConfig({ [name]: most })
  expect(() => readConfig({ [name]: tooMuch })).toThrow(name)
})

test('apps are created on the chosen network, by the builder that Fly names; the default is no particular network', () => {
  expect(readConfig({}).deployer).toMatchObject({ network: null, builder: null })
  const chosen = { TARMAC_FLY_NETWORK: 'apart-1', FLY_MACHINE_ID: '0e286039f42e86' }
  expect(readConfig(chosen).deployer).toMatchObject({
    network: 'apart-1',
    builder: '0e286039f42e86',
  })
  expect(() => readConfig({ TARMAC_FLY_NETWORK: '1 apart' })).toThrow('TARMAC_FLY_NETWORK')
})

test.each([
  ['TARMAC_TOKEN_S', 'TARMAC_TOKENS'],
  ['TARMAC_MAXBUILDS', 'TARMAC_MAX_BUILDS'],
  ['TARMAC_FLY_REGON', 'TARMAC_FLY_REGION'],
  ['tarmac_port', 'TARMAC_PORT'],
])('%s is not a setting, and the complaint names %s', (name, nearest) => {
  expect(() => readConfig({ [name]: 'x' })).toThrow(
    `  ${name}: is not a setting. Did you mean ${nearest}?`,
  )
})

test('a token under the name that the client reads is pointed out', () => {
  const settings = { TARMAC_HOST: '::', TARMAC_TOKEN: 'a-token-of-the-client' }
  expect(() => readConfig(settings)).toThrow('TARMAC_TOKEN, which is set, is read by the client')
})

test('what the client reads, and what is not Tarmac’s, may be in the environment', () => {
  readConfig({
    TARMAC_GATEWAY: 'http://x',
    TARMAC_TOKEN: 'y',
    PATH: '/bin',
    TARMAC_PORTS: undefined,
  })
})

test.each([
  ['TARMAC_PORT', 'eighty', 'must be a whole number from 0 to 65535, not "eighty"'],
  ['TARMAC_PORT', '', 'must be a whole number from 0 to 65535, not ""'],
  ['TARMAC_MAX_BUILDS', '1.5', 'must be a whole number from 1 to 1000000000, not "1.5"'],
  ['TARMAC_PLAN_TIMEOUT', '0', 'must be a number above 0, 2000000 at most, not "0"'],
  ['TARMAC_WATCH', '-1', 'must be a number from 0 to 2000000, not "-1"'],
  ['TARMAC_STEP_CPUS', 'NaN', 'must be a number from 0 to 1024, not "NaN"'],
])('%s=%s: the complaint says which numbers are right', (name, value, words) => {
  expect(() => readConfig({ [name]: value })).toThrow(`  ${name}: ${words}`)
})

test('all complaints come together, each with the name of its setting', () => {
  const wrong = {
    TARMAC_PORT: 'eighty',
    TARMAC_TOKENS: 'short',
    TARMAC_SECRETS_KEY: 'abc',
    TARMAC_STEP_MEMORY: 'half',
    TARMAC_LOG_MIB: '0',
  }
  for (const name of Object.keys(wrong))
    expect(() => readConfig(wrong)).toThrow(new RegExp(`^  ${name}: `, 'm'))
})

test('sizes and times have the units that the gateway works with', () => {
  const { source, limits, images, buildkit, disk } = readConfig({
    TARMAC_MAX_UPLOAD_MIB: '3',
    TARMAC_FETCH_TIMEOUT: '4',
    TARMAC_LOG_TAIL_KIB: '5',
    TARMAC_BASE_REFRESH: '6',
    TARMAC_DISK_LOW: '7%',
    TARMAC_DISK_HIGH: '8',
    TARMAC_MIRRORS: 'docker.io=a:5000,ghcr.io=b:5000,docker.io=c:5000',
    TARMAC_DATA: '/volume',
  })
  expect(source.uploadBytes).toBe(3 * 2 ** 20)
  expect(limits).toMatchObject({ fetchMs: 4000, log: { tailBytes: 5 * 2 ** 10 } })
  expect(images.refreshMs).toBe(6 * 3_600_000)
  expect(disk).toEqual({
    soft: { share: 0.3 },
    low: { share: 0.07 },
    high: { bytes: 8 * 2 ** 20 },
  })
  expect(buildkit.mirrors).toEqual({ 'docker.io': ['a:5000', 'c:5000'], 'ghcr.io': ['b:5000'] })
  expect(buildkit.root).toBe('/volume/buildkit')
})

const gib = 2 ** 30
test.each([
  [{ cpus: 1, memoryBytes: 0.9 * gib }, 2],
  [{ cpus: 2, memoryBytes: 3.8 * gib }, 4],
  [{ cpus: 4, memoryBytes: 7.7 * gib }, 8],
  [{ cpus: 8, memoryBytes: 7.7 * gib }, 8],
  [{ cpus: 2, memoryBytes: 64 * gib }, 4],
  [{ cpus: 64, memoryBytes: 256 * gib }, 32],
])('on a machine of %o, %i builds and steps run at once', (size, atOnce) => {
  const { limits, daemon } = readConfig({}, size)
  expect([limits.builds, limits.appBuilds, daemon.steps]).toEqual([atOnce, atOnce, atOnce])
})

test('a setting wins over the machine’s size, and the builds of one app follow those of all', () => {
  const size = { cpus: 2, memoryBytes: 4 * gib }
  const some = readConfig({ TARMAC_MAX_BUILDS: '9' }, size)
  expect([some.limits.builds, some.limits.appBuilds, some.daemon.steps]).toEqual([9, 9, 4])
  const own = readConfig({ TARMAC_APP_BUILDS: '1', TARMAC_MAX_STEPS: 'auto' }, size)
  expect([own.limits.builds, own.limits.appBuilds, own.daemon.steps]).toEqual([4, 1, 4])
})
