import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const script = join(import.meta.dirname, '../../gateway/keep-running.sh')

/** Runs a shell script under keep-running. `LIVES` is a file with one line per life. */
async function keepRunning(text: string) {
  const lives = join(await mkdtemp(join(tmpdir(), 'tarmac-lives-')), 'lives')
  const command = `echo $$ >> $LIVES; ${text}`
  const child = spawn(script, ['sh', '-c', command], {
    stdio: 'ignore',
    env: { ...process.env, LIVES: lives },
  })
  const count = async () => (await readFile(lives, 'utf8').catch(() => '')).split('\n').length - 1
  return { child, exit: once(child, 'exit'), count }
}

test('a gateway that is killed or fails is restarted; one that ends normally is not', async () => {
  const { exit, count } = await keepRunning(
    'case $(wc -l < $LIVES) in 1) kill -9 $$ ;; 2) exit 1 ;; esac; exit 0',
  )
  expect(await exit).toEqual([0, null])
  expect(await count()).toBe(3)
})

test('an invalid setting ends it at once', async () => {
  const { exit, count } = await keepRunning('exit 2')
  expect(await exit).toEqual([2, null])
  expect(await count()).toBe(1)
})

test('a stop signal reaches the gateway, and keep-running waits for its end', async () => {
  const { child, exit, count } = await keepRunning(
    'trap "sleep 0.3; exit 7" TERM; while :; do sleep 0.05; done',
  )
  await expect.poll(count).toBe(1)
  child.kill('SIGTERM')
  expect(await exit).toEqual([7, null])
  expect(await count()).toBe(1)
})
