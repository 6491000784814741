import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSmallFly } from '../../lab/localfly/start-small.ts'
import { clientRuntimes } from '../../lab/ready.ts'
import { startHttp, token, toLive } from '../gateway/http/start-http.ts'

const root = join(import.meta.dirname, '../..')
let folder: string
/** Deno keeps a cache there, which is no part of the source. */
let home: string
let bundle: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tarmac-runtimes-'))
  home = mkdtempSync(join(tmpdir(), 'tarmac-home-'))
  writeFileSync(join(folder, 'index.html'), 'hello')
  const made = execFileSync(process.execPath, [join(root, 'client/bundle.ts')], {
    encoding: 'utf8',
  })
  bundle = made.trim()
})
afterAll(() => [folder, home].forEach((each) => rmSync(each, { recursive: true })))

/** Runs the bundle on a terminal, as a user does. */
function tarmac(gateway: string, runtime: string, ...args: string[]) {
  const command = `${runtime} ${bundle} ${args.join(' ')}`
  const { PATH } = process.env
  const env = { PATH, HOME: home, TARMAC_GATEWAY: gateway, TARMAC_TOKEN: token }
  const child = spawn('script', ['-qefc', command, '/dev/null'], { cwd: folder, env })
  const run = { child, seen: '', code: new Promise((resolve) => child.once('close', resolve)) }
  child.stdout.on('data', (chunk: Buffer) => (run.seen += chunk.toString()))
  return run
}
const shows = (run: { seen: string }, text: string) =>
  expect.poll(() => run.seen, { timeout: 20_000 }).toContain(text)

test.each([
  ['Node 26', process.execPath],
  ['Node 20', clientRuntimes.path('node20')],
  ['Node 22', clientRuntimes.path('node22')],
  ['Bun', clientRuntimes.path('bun')],
  ['Deno', `${clientRuntimes.path('deno')} run -A`],
])('the bundle deploys on %s, and asks after an interrupt', async (_, runtime) => {
  await using http = await startHttp()
  const many = Array.from({ length: 10 }, (_, n) => ['--env', `V${n}=${'x'.repeat(900)}`]).flat()
  const good = tarmac(http.url, runtime, 'deploy', 'shop', ...many)
  await shows(good, '=> pending')
  await http.play(toLive)
  expect(await good.code, good.seen).toBe(0)
  expect(good.seen).toContain('http://shop.localhost/')

  const asked = tarmac(http.url, runtime, 'deploy', 'shop')
  await shows(asked, '=> pending')
  const { id, holder } = await http.play([
    ['analyzing'],
    ['building'],
    ['deploying', { rollout: {} }],
  ])
  await shows(asked, '=> deploying')
  asked.child.stdin.write('\x03')
  await shows(asked, 'Roll them back (y)')
  asked.child.stdin.write('y\n')
  const request = async () => (await http.store.find(id))!.cancel
  await expect.poll(request).toMatchObject({ abort: true, why: 'interrupted' })
  await http.store.advance(holder, 'deploying', 'cancelled')
  expect(await asked.code, asked.seen).toBe(130)
  expect(asked.seen).toContain(`Deployment ${id} is cancelled.`)
})

test.each([
  ['Node 20', clientRuntimes.path('node20')],
  ['Bun', clientRuntimes.path('bun')],
  ['Deno', `${clientRuntimes.path('deno')} run -A`],
])('the bundle makes and removes a builder on %s', async (_, runtime) => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-up-'))
  await using fly = await startSmallFly(dir, { token })
  const image = `registry.fly.io/tarmac@sha256:${'a'.repeat(64)}`
  const { PATH } = process.env
  const env = { PATH, HOME: dir, FLY_FLAPS_BASE_URL: fly.flyApi, FLY_API_TOKEN: token }
  const run = async (args: string) => {
    const child = spawn('sh', ['-c', `${runtime} ${bundle} ${args}`], { env, stdio: 'ignore' })
    return await new Promise((resolve) => child.once('close', resolve))
  }

  expect(await run(`up --region fra --image ${image}`)).toBe(0)
  expect([...fly.state.machines.values()].map(({ state }) => state)).toEqual(['started'])
  expect(await run('down --delete-volume')).toBe(0)
  expect(fly.state.apps.size + fly.state.volumes.size).toBe(0)
  rmSync(dir, { recursive: true })
})
