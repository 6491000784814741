import { expect, test } from 'vitest'
import { GatewayLimit } from '../../../api/callers/limits.ts'
import { readConfig } from '../../../gateway/src/config.ts'
import { settingsOf } from '../../../gateway/src/settings/setting.ts'
import { settings } from '../../../gateway/src/settings/settings.ts'
import { gatewayLimits } from '../../../gateway/src/status/gateway-limits.ts'
import { queueLimits } from '../../../gateway/src/deployments/size-limits.ts'
import { defaultLimits } from '../../../gateway/src/sources/limits.ts'

test('the limits of the gateway are those of its settings and constants, each with its setting', () => {
  const config = readConfig({ TARMAC_MAX_UPLOAD_MIB: '7', TARMAC_BUILD_TIMEOUT: '90' })
  const limits = gatewayLimits(config)
  expect(limits.map((limit) => GatewayLimit.parse(limit))).toEqual(limits)
  expect(limits).toContainEqual({
    name: 'archive as sent',
    value: 7 * 2 ** 20,
    unit: 'bytes',
    setting: 'TARMAC_MAX_UPLOAD_MIB',
  })
  const valueOf = (name: string) => limits.find((limit) => limit.name === name)?.value
  expect(valueOf('building and pushing')).toBe(90)
  expect(valueOf('archive')).toBe(defaultLimits.entries)
  expect(valueOf('not ended, of an app')).toBe(queueLimits.app.count)

  const known = settingsOf(settings).map(({ name }) => name)
  for (const { setting } of limits) if (setting !== null) expect(known).toContain(setting)
})

test('a setting is the default of each quota, and says what is wrong with it', () => {
  expect(readConfig({}).quotas).toMatchObject({ builds: null, 'requests-per-minute': null })
  const config = readConfig({ TARMAC_QUOTA_BUILDS: '2', TARMAC_QUOTA_QUEUE: 'none' })
  expect(config.quotas).toMatchObject({ builds: 2, queue: null })
  for (const wrong of ['0', '-1', 'two', '1.5', ''])
    expect(() => readConfig({ TARMAC_QUOTA_BUILDS: wrong })).toThrow(/TARMAC_QUOTA_BUILDS: must be/)
  expect(() => readConfig({ TARMAC_QUOTA_CACHE_PERCENT: '101' })).toThrow(/from 1 to 100/)
})
