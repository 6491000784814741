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
  expect(readConfig({}).fly).toMatchObject({ network: null, builder: null })
  const chosen = { TARMAC_FLY_NETWORK: 'apart-1', FLY_MACHINE_ID: '0e286039f42e86' }
  expect(readConfig(chosen).fly).toMatchObject({ network: 'apart-1', builder: '0e286039f42e86' })
  expect(() => readConfig({ TARMAC_FLY_NETWORK: '1 apart' })).toThrow('TARMAC_FLY_NETWORK')
})
