import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { leftOf, recordTraces } from './left-over.ts'
import { labPort } from './start.ts'

const root = join(import.meta.dirname, '../..')

const byNode = [process.execPath, join(root, 'lab/main.ts')]
const byNpm = ['npm', 'run', '--silent', 'lab', '--']

/** Runs the lab until it reports that it is ready. */
async function startLabProcess(dir: string, port: number, [program = '', ...args] = byNode) {
  const env = { ...process.env, TARMAC_WATCH: '1' }
  const child = spawn(program, [...args, '--port', String(port), '--dir', dir], { env, cwd: root })
  const exit = once(child, 'exit')
  let said = ''
  for await (const chunk of child.stdout) {
    said += String(chunk)
    if (said.includes('lab: ready')) break
  }
  return { child, exit }
}

const dockerfile = 'FROM alpine\nRUN mkdir /www && echo hello > /www/index.html\nRUN true\n'
const serving = `${dockerfile}CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]`
const building = `${dockerfile}RUN sleep 600`

test('a killed lab leaves machines and builds behind; the next lab in its folder removes them, and later itself', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-e2e-'))
  const port = await labPort()
  const killed = await startLabProcess(dir, port)
  const { gateway, token } = JSON.parse(await readFile(join(dir, 'lab.json'), 'utf8')) as Record<
    string,
    string
  >
  const deploy = (app: string, text: string) => {
    const line = `mkdir "$DIR" && cd "$DIR" && echo "$TEXT" > Dockerfile && tar cz . | curl -sNT - -H "Authorization: Bearer $T" $URL`
    const env = {
      PATH: process.env['PATH'],
      T: token,
      URL: `${gateway}/deploy/${app}`,
      DIR: join(dir, app),
      TEXT: text,
    }
    return spawn('sh', ['-c', line], { env })
  }
  let printed = ''
  for await (const chunk of deploy('served', serving).stdout) printed += String(chunk)
  expect(printed).toContain('\nlive: served')

  for await (const chunk of deploy('building', building).stdout)
    if (String(chunk).includes('sleep 600')) break
  const traces = await recordTraces(dir)
  killed.child.kill('SIGKILL')
  await killed.exit
  expect((await leftOf(traces)).some((line) => line.startsWith('process'))).toBe(true)

  const next = await startLabProcess(dir, port)
  next.child.kill('SIGTERM')
  expect(await next.exit).toEqual([0, null])
  expect(await leftOf(traces)).toEqual([])
  await rm(dir, { recursive: true })
})

test('whoever ends npm by its id, gently or not, ends the whole lab', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-e2e-'))
  const port = await labPort()
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const lab = await startLabProcess(dir, port, byNpm)
    const traces = await recordTraces(dir)
    expect(await leftOf(traces)).not.toEqual([])
    lab.child.kill(signal)
    await lab.exit
    // A killed npm does not wait for the lab, which ends in order behind it.
    await expect.poll(() => leftOf(traces), { timeout: 30_000, interval: 500 }).toEqual([])
  }
  await rm(dir, { recursive: true })
})
