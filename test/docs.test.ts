import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flags } from '../client/src/flags.ts'
import { help } from '../client/src/help.ts'
import { optionsOf, tables, withTable } from '../docs/tables.ts'

test.each(Object.keys(tables))('docs/%s matches the code', (page) => {
  const text = readFileSync(join(import.meta.dirname, '../docs', page), 'utf8')
  expect(text, 'run `npm run docs`').toBe(withTable(page, text))
})

test('every option of the client is in its help and in docs/client.md, and no other', () => {
  const explained = optionsOf(help).map(({ option }) => /^--([\w-]+)/.exec(option)?.[1] ?? option)
  expect([...new Set(explained)].toSorted()).toEqual(Object.keys(flags).toSorted())
})

test('every row about input of strangers names an existing test', () => {
  const text = readFileSync(join(import.meta.dirname, '../docs/security.md'), 'utf8')
  const [, section = ''] = /^## What a stranger can send$([^]*?)^## /m.exec(text) ?? []
  const rows = section.split('\n').filter((line) => /^\| (?!what |---)/.test(line))
  expect(rows.length).toBeGreaterThan(50)

  const unproven = rows.filter((row) => {
    const [, file = '', name = ''] = /\| `([\w./-]+\.ts)` › (.+) \|$/.exec(row) ?? []
    const path = join(import.meta.dirname, file)
    return !file || !existsSync(path) || !readFileSync(path, 'utf8').includes(name)
  })
  expect(unproven).toEqual([])
})
