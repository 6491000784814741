/**
 * `npm run canary`: prints the proof that builds reach nothing internal, as a table. Exits 1 when
 * one does.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isRight, tryIsolation } from './canary/canary.ts'
import type { Row } from './canary/targets.ts'
import { errorMessage } from '#api/error-code.ts'

const { values } = parseArgs({ options: { port: { type: 'string', default: '8500' } } })
const dir = await mkdtemp(join(tmpdir(), 'tarmac-canary-'))
try {
  const rows = await tryIsolation({
    dir,
    port: Number(values.port),
    say: (line) => console.log(`canary: ${line}`),
  })
  console.log(table(rows))
  const closed = rows.filter(({ open }) => !open)
  const wrong = rows.filter((row) => !isRight(row))
  const unreachable = closed.filter(({ reached }) => !reached).length
  console.log(
    `canary: ${unreachable} of ${closed.length} targets unreachable; each control reached: ${rows.every(({ controlReached }) => controlReached) ? 'yes' : 'no'}`,
  )
  if (wrong.length > 0)
    throw new Error(`unexpected results: ${wrong.map(({ what }) => what).join(', ')}`)
} catch (error) {
  console.error(`canary: failed: ${errorMessage(error)}`)
  process.exitCode = 1
} finally {
  await rm(dir, { recursive: true, force: true })
}
process.exit()

function table(rows: Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    row.place,
    `${row.controlReached ? 'reached' : 'NOT REACHED'} ${row.control === 'step' ? 'by the step without isolation' : 'from the host'}`,
    row.reached
      ? row.open
        ? 'reached, as expected'
        : 'REACHED'
      : row.open
        ? 'NOT REACHED'
        : 'unreachable',
  ])
  const all = [['target', 'address and port, or path', 'control', 'from a build'], ...cells]
  const widths = all[0]!.map((_, at) => Math.max(...all.map((row) => row[at]!.length)))
  return all
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
