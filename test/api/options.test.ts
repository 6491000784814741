import { expect, test } from 'vitest'
import { parseOptions, readOptions, writeOptions } from '../../api/options.ts'

test('options written as a query are read back unchanged', () => {
  const query =
    'deploy=false&platform=linux%2Famd64%2Clinux%2Farm64%2Fv8&tag=latest&tag=main&env.A=b&build.C=d&target=web'
  const { options } = readOptions(new URLSearchParams(query))
  expect(options).toMatchObject({
    deploy: false,
    tag: ['latest', 'main'],
    env: { A: 'b' },
    target: 'web',
  })
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

const variables = (count: number, chars: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`A${n}`, 'x'.repeat(chars)]))
test.each([
  ['many variables', variables(501, 1)],
  ['one large variable', variables(1, 130 * 1024)],
  ['variables that are large together', variables(200, 700)],
  [
    'a variable that JavaScript would swallow',
    JSON.parse('{"__proto__": "x"}') as Record<string, string>,
  ],
])('%s are refused in the query and in JSON, for machines and for builds', (_, given) => {
  for (const map of ['env', 'build'] as const) {
    const query = Object.entries(given).map(([name, value]): [string, string] => [
      `${map}.${name}`,
      value,
    ])
    expect(() => readOptions(query)).toThrow(`The option ${map}`)
    expect(() => parseOptions({ [map]: given })).toThrow(`The option ${map}`)
  }
})

test('variables within the limits are accepted', () => {
  expect(
    Object.keys(parseOptions({ env: variables(500, 200), build: variables(2, 60 * 1024) }).env),
  ).toHaveLength(500)
})
