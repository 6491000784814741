import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const room = JSON.stringify(join(import.meta.dirname, '../../../gateway/src/host'))
const code = `
const { serveFirst } = await import(${room} + '/priority.ts')
const { runChild } = await import(${room} + '/child/run-child.ts')
const { getPriority } = await import('node:os')
const { readdirSync, readFileSync } = await import('node:fs')
serveFirst()
const niceOf = (thread) => Number(readFileSync('/proc/self/task/' + thread + '/stat', 'latin1').split(') ')[1].split(' ')[16])
const threads = new Set(readdirSync('/proc/self/task').map(niceOf))
const child = { command: '/usr/bin/nice', args: [], env: {}, cwd: '/', timeoutMs: 10000, maxOutputBytes: 1000 }
const { stdout } = await runChild(child, new AbortController().signal)
console.log(JSON.stringify({ own: getPriority(), threads: [...threads], child: Number(stdout) }))
process.exit(0)`

// Only root may raise its priority. For any other user the gateway works as before.
test('the gateway has priority over other programs of the machine, and its children do not', () => {
  const own = process.getuid?.() === 0 ? -10 : 0
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
  })
  expect(JSON.parse(said)).toEqual({ own, threads: [own], child: 0 })
})
