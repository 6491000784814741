import { expect, test } from 'vitest'
import { readOptions, writeOptions } from '../../api/options.ts'

test('what is written as a query is read back', () => {
  const query =
    'deploy=false&platform=linux%2Famd64%2Clinux%2Farm64%2Fv8&tag=latest&tag=main&env.A=b&build.C=d&target=web'
  const { options } = readOptions(new URLSearchParams(query))
  expect(options).toMatchObject({ deploy: false, tag: ['latest', 'main'], env: { A: 'b' }, target: 'web' })
  expect(readOptions(writeOptions(options)).options).toEqual(options)
})

test.each([
  'target=a&target=b',
  'platform=windows/amd64',
  'platform=linux',
  'platform=linux/amd64,',
  'tag=-x',
  'tag=a/b',
  'tag=',
  new URLSearchParams(Array.from({ length: 11 }, (_, n) => ['tag', `t${n}`])).toString(),
])('%s is refused', (query) => {
  expect(() => readOptions(new URLSearchParams(query))).toThrow('The option')
})
