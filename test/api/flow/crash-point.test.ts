import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { crashPoints, injectedPoints } from '../../e2e/crash-table.ts'

const root = join(import.meta.dirname, '../../..')
const texts = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== 'crash-table.ts')
    .map((file) => readFileSync(join(root, folder, file), 'utf8'))

test('every crash point occurs at one place in the gateway, and a test triggers it', () => {
  const code = ['fly', 'gateway/src'].flatMap(texts).join('\n')
  const tests = texts('test/e2e').join('\n')
  expect(
    injectedPoints.filter(
      (name) => name !== 'in-state' && code.split(`crashPoint('${name}')`).length !== 2,
    ),
  ).toEqual([])
  expect(
    Object.keys(crashPoints).filter((name) => !new RegExp(`'${name}['": ]`).test(tests)),
  ).toEqual([])
  expect(Object.keys(crashPoints)).toHaveLength(39)

  const called = [...code.matchAll(/crashPoint\('([\w-]+)'/g)].map(([, name]) => name)
  expect(new Set(called)).toEqual(new Set(injectedPoints))
})
