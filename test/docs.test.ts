import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tables, withTable } from '../docs/tables.ts'

test.each(Object.keys(tables))('docs/%s says what the code says', (page) => {
  const text = readFileSync(join(import.meta.dirname, '../docs', page), 'utf8')
  expect(text, 'run `npm run docs`').toBe(withTable(page, text))
})
