import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { calls } from '../../api/calls.ts'

test('the list of calls is what the gateway serves', () => {
  const folder = join(import.meta.dirname, '../../gateway/src/http')
  const routes = readdirSync(join(folder, 'routes'), { recursive: true, encoding: 'utf8' })
  const app = ['app.ts', ...routes.map((file) => join('routes', file))]
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .join('\n')
  const served = [...app.matchAll(/^ {2}app\.(?!use)(\w+)\(\s*routes\.(\w+),/gm)].map(
    ([, method, route]) => `${method!.toUpperCase()} ${route}`,
  )
  const events = ['GET events', 'GET previewEvents'] // served beside Express
  expect(calls.map(({ method, route }) => `${method} ${route}`).toSorted()).toEqual(
    [...served, ...events].toSorted(),
  )
})
