import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { asProblem } from '#api/problem.ts'
import { flyTomlDifference, type FlyTomlCase } from './conformance-flytoml.ts'
import { railpackDifference, type RailpackCase } from './conformance-railpack.ts'

// `npm run conformance -- DIR`: compares us with real programs, case by case. The keys of a case
// tell its kind.

const kinds: Record<string, (recorded: never) => string | null> = {
  plan: (recorded: RailpackCase) => railpackDifference(recorded),
  toml: (recorded: FlyTomlCase) => flyTomlDifference(recorded),
}

const folder = process.argv[2]
if (folder === undefined) {
  console.error('Say which folder of recorded cases: npm run conformance -- DIR (or: record)')
  process.exit(2)
}
if (folder === 'record') {
  const { record } = await import('./record/record.ts')
  process.exit(await record(process.argv.slice(3)))
}
const files = readdirSync(folder).filter((file) => file.endsWith('.json'))
let failed = files.length === 0 ? 1 : 0
for (const file of files) {
  const found = check(
    JSON.parse(readFileSync(join(folder, file), 'utf8')) as Record<string, unknown>,
  )
  if (found === null) continue
  failed += 1
  console.log(`${file}: ${found}`)
}
if (files.length === 0) console.log(`${folder} holds no cases (*.json)`)
console.log(`${Math.max(0, files.length - failed)} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0

function check(recorded: Record<string, unknown>): string | null {
  const kind = Object.keys(kinds).find((key) => key in recorded)
  if (kind === undefined)
    return `no check yet for cases with ${Object.keys(recorded).join(', ')} (there is one for: ${Object.keys(kinds).join(', ')})`
  try {
    return kinds[kind]!(recorded as never)
  } catch (error) {
    return `refused: ${asProblem(error).message}${error instanceof Error ? ` (${error.stack})` : ''}`
  }
}
