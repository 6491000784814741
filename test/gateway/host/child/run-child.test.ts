import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Child } from '../../../../gateway/src/host/child/child.ts'
import { runChild } from '../../../../gateway/src/host/child/run-child.ts'

const never = new AbortController().signal
const shell = (script: string, more: Partial<Child> = {}, signal = never) =>
  runChild(
    {
      command: '/bin/sh',
      args: ['-c', script],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      timeoutMs: 10_000,
      maxOutputBytes: 10_000,
      ...more,
    },
    signal,
  )
/** A zombie counts as dead: the first process of some machines does not reap. */
const isAlive = (pid: number) => {
  const file = `/proc/${pid}/stat`
  return existsSync(file) && !/\) Z /.test(readFileSync(file, 'utf8'))
}
async function diesSoon(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 50 && isAlive(pid); tries++) await sleep(20)
  return !isAlive(pid)
}

describe('a child', () => {
  test('returns its exit code and both streams separately', async () => {
    expect(await shell('echo out; echo err >&2; exit 7')).toEqual({
      exitCode: 7,
      killedBy: null,
      stdout: 'out\n',
      stderr: 'err\n',
      outputs: [],
      truncated: false,
      timedOut: false,
    })
  })

  test('returns its further outputs, each up to its own limit', async () => {
    const written = await shell('echo three >&3; echo four >&4', { outputs: [100, 100] })
    expect(written).toMatchObject({ outputs: ['three\n', 'four\n'], truncated: false })
    const tooMuch = await shell('echo four >&4; while :; do echo 0123456789; done >&3', {
      outputs: [1_000, 100],
    })
    expect(tooMuch).toMatchObject({ killedBy: 'SIGKILL', truncated: true })
    expect(tooMuch.outputs.map(({ length }) => length)).toEqual([1_000, 5])
  })

  test('sees only the variables that it is given', async () => {
    const { stdout } = await shell('', { command: '/usr/bin/env', args: [], env: { ONLY: 'this' } })
    expect(stdout).toBe('ONLY=this\n')
  })

  test('gets its arguments unchanged, without a shell', async () => {
    const { stdout } = await shell('', { command: '/bin/echo', args: ['$HOME; `id`', '* "'] })
    expect(stdout).toBe('$HOME; `id` * "\n')
  })

  test('is killed with all its children when its time is up', async () => {
    const ended = await shell('sleep 60 & echo $!; wait', { timeoutMs: 300 })
    expect(ended).toMatchObject({ exitCode: null, killedBy: 'SIGKILL', timedOut: true })
    expect(await diesSoon(Number(ended.stdout))).toBe(true)
  })

  test('is killed when it writes too much, and its output until then is kept', async () => {
    const ended = await shell('while :; do echo 0123456789; done', { maxOutputBytes: 1_000 })
    expect(ended).toMatchObject({ killedBy: 'SIGKILL', truncated: true, timedOut: false })
    expect(ended.stdout).toHaveLength(1_000)
  })

  test('leaves no process behind', async () => {
    const ended = await shell('sleep 60 & echo $!')
    expect(ended.exitCode).toBe(0)
    expect(await diesSoon(Number(ended.stdout))).toBe(true)
  })

  test('that left its group and holds the pipes does not block us', async () => {
    const started = Date.now()
    const ended = await shell('setsid sleep 5 & echo done')
    expect(ended.stdout).toBe('done\n')
    expect(Date.now() - started).toBeLessThan(3_000)
  })

  test('ends at once when the work is aborted, and throws the abort reason', async () => {
    const control = new AbortController()
    const running = shell('sleep 60', {}, control.signal)
    setTimeout(() => control.abort(new Error('the user cancelled')), 100)
    await expect(running).rejects.toThrow('the user cancelled')
    await expect(shell('echo never', {}, control.signal)).rejects.toThrow('the user cancelled')
  })

  test('that does not exist is distinguished from one that failed', async () => {
    const ended = await shell('', { command: '/nowhere/program' }).catch((error: Error) => error)
    expect(ended instanceof Error ? 127 : ended.exitCode).toBe(127)
  })

  test('dies when its parent is killed', async () => {
    const file = join(tmpdir(), randomUUID())
    const module = join(import.meta.dirname, '../../../../gateway/src/host/child/run-child.ts')
    const code = `
      const { runChild } = await import(${JSON.stringify(module)})
      const args = ['-c', 'echo $$ > ${file}; exec sleep 60']
      const limits = { timeoutMs: 60000, maxOutputBytes: 1000 }
      await runChild({ command: '/bin/sh', args, env: {}, cwd: '/', ...limits }, new AbortController().signal)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: 'inherit',
    })
    const pid = await pidIn(file)
    expect(isAlive(pid)).toBe(true)

    parent.kill('SIGKILL')
    await once(parent, 'exit')
    expect(await diesSoon(pid)).toBe(true)
    await rm(file)
  })
})

async function pidIn(file: string): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const written = await stat(file).catch(() => null)
    if (written?.size) return Number(await readFile(file, 'utf8'))
    await sleep(25)
  }
  throw new Error('The child did not start.')
}
