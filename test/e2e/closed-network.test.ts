import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

test('apps without dependencies are built while nothing but the registry can be reached', async () => {
  const lab = join(import.meta.dirname, 'closed-network-lab.ts')
  const names = ['hello-dockerfile', 'hello-static']
  // The namespace has nothing but its loopback, where the lab's registry and Fly listen.
  const script = 'ip link set lo up && exec "$0" "$@"'
  const inside = ['--net', '--', 'sh', '-c', script, process.execPath, lab, ...names]
  const { stdout } = await run('unshare', inside, { timeout: 240_000, killSignal: 'SIGTERM' })
  const ends = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string })
  expect(ends.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual(
    names.map((name) => ({ name, state: 'built', problem: null })),
  )
})
