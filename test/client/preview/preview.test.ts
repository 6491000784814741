import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import { Problem } from '../../../api/problem.ts'
import { readCommandLine } from '../../../client/src/command-line.ts'
import { Gateway as Client } from '../../../client/src/gateway.ts'
import { previews } from '../../../client/src/preview/previews.ts'
import { jsonPrinter, peoplePrinter } from '../../../client/src/print.ts'
import type { Preview, PreviewPage } from '../../../api/previews/preview.ts'
import { token } from '../../gateway/http/start-http.ts'
import { startMachines } from '../../gateway/start-machines.ts'
import { startProxy } from '../start-proxy.ts'

const main = join(import.meta.dirname, '../../../client/src/main.ts')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tarmac-preview-'))
  writeFileSync(join(folder, 'index.html'), 'hello')
  vi.stubEnv('XDG_CACHE_HOME', mkdtempSync(join(tmpdir(), 'tarmac-preview-cache-')))
  writeFileSync(join(folder, '.env.preview'), 'TOKEN=a-value-of-a-file\n')
})
afterAll(() => rmSync(folder, { recursive: true }))

type Gateway = Awaited<ReturnType<typeof startMachines>>
const env = { USER: 'Alice.B' }

/** Runs `tarmac preview` as `main` does, in this process. */
function preview(gateway: Gateway, ...args: string[]) {
  const run = { out: '', err: '', interrupt: new AbortController() }
  const argv = ['preview', '--gateway', gateway.url, '--token', token, ...args]
  const end = async () => {
    using _out = vi
      .spyOn(process.stdout, 'write')
      .mockImplementation((text) => ((run.out += text.toString()), true))
    using _err = vi
      .spyOn(process.stderr, 'write')
      .mockImplementation((text) => ((run.err += text.toString()), true))
    const printer = args.includes('--json') ? jsonPrinter() : peoplePrinter(false)
    try {
      const command = readCommandLine(argv, env)
      if (command.name !== 'preview') throw new Error('not a preview')
      const { signal } = run.interrupt
      return await previews(command, {
        gateway: new Client(new URL(gateway.url), token),
        printer,
        signal,
      })
    } catch (error) {
      if (run.interrupt.signal.aborted) return printer.interrupted({ text: 'Stopped.' })
      if (!(error instanceof Problem)) throw error
      return printer.failed(error)
    }
  }
  return Object.assign(run, { code: end() })
}

async function done(run: ReturnType<typeof preview>) {
  const code = await run.code
  return { code, out: run.out, err: run.err }
}

test('a preview of an image is followed to its address, and lives until it is destroyed', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const image = gateway.images.put('shop', 'v1').name
  const made = await done(
    preview(
      gateway,
      'shop',
      '--image',
      image,
      '--ttl',
      '30m',
      '--env',
      'MODE=try',
      '--secret',
      `DB=@${join(folder, 'index.html')}`,
    ),
  )
  const id = /shop-(pv-\w+)\.flycast/.exec(made.out)?.[1] ?? ''
  expect(made).toMatchObject({ code: 0, out: `http://shop-${id}.flycast\n` })
  expect(made.err).toContain(`${id} of shop for alice-b: it is gone at 20`)
  expect(made.err).toMatch(new RegExp(`=> live[^]*${id} is ready, until .* UTC: 29 min from now`))
  expect(gateway.fly.apps.get(`shop-${id}`)?.secrets.map(({ name }) => name)).toEqual(['DB'])

  const list = await done(preview(gateway, 'ls', 'shop'))
  expect(list.out).toMatch(
    new RegExp(
      `^PREVIEW .*STATE .*LEFT +URL\n${id} +shop +alice-b +ready +\\d+ s +29 min +http://`,
    ),
  )
  const shown = (await done(preview(gateway, 'show', id))).out
  expect(shown).toMatch(new RegExp(`^preview +${id}\nstate +ready\nurl +http[^]*machines +\\w+`))
  expect((await done(preview(gateway, 'extend', id, '--ttl', '10m'))).out).toMatch(
    new RegExp(`^${id} is ready, until .*: 9 min from now\n$`),
  )

  const gone = await done(preview(gateway, 'destroy', id, 'pv-000000000000'))
  expect(gone).toMatchObject({ code: 1, out: `${id} is destroyed: nothing is left of it\n` })
  expect(gone.err).toContain('There is no preview pv-000000000000.')
  expect(gateway.fly.apps.has(`shop-${id}`)).toBe(false)
  expect((await done(preview(gateway, 'ls'))).out).toBe('no preview matches\n')
  expect((await done(preview(gateway, 'ls', '--state', 'destroyed'))).out).toContain(id)
})

test('a folder is sent as deploy sends it, with its options, and secrets of a file', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const file = join(folder, '.env.preview')
  const words = `shop ${folder} --owner pr-12 --dockerfile Dockerfile.dev --detach --json --file ${file}`
  const run = preview(gateway, ...words.split(' '))
  const { code, out } = await done(run)
  expect(code).toBe(0)
  const last = JSON.parse(out.trim().split('\n').at(-1)!) as { preview: Preview }
  expect(last.preview).toMatchObject({ app: 'shop', owner: 'pr-12', state: 'starting' })
  expect(out).toMatch(/^\{"v":1,"type":"uploaded"/)
  expect(out).not.toContain('a-value-of-a-file')
  expect(gateway.received[0]!.sizeBytes).toBeGreaterThan(100)
  const { deployment } = last.preview
  expect(await gateway.get<Deployment>(`/v1/deployments/${deployment}`)).toMatchObject({
    options: { dockerfile: 'Dockerfile.dev' },
  })
  const kept = await gateway.store.secretsOf(`deployment:${deployment}`)
  expect(kept.map(({ name }) => name)).toEqual(['TOKEN'])
})

test('a preview that fails says why, and ends with the exit code of a deploy that fails', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const bad = gateway.images.put('shop', 'v2')
  gateway.fly.natures.set(bad.digest, 'cannot-start')
  const failed = await done(preview(gateway, 'shop', '--image', bad.name))
  const id = /^tarmac: (pv-\w+) of shop/.exec(failed.err)?.[1] ?? ''
  expect(failed).toMatchObject({ code: 13, out: '' })
  expect(failed.err).toMatch(/\| said by \S+[^]*deploy_failed: shop-pv-/)
  expect(failed.err).toContain(`leaves nothing of it on Fly. tarmac preview show ${id} has`)
  await expect
    .poll(() => gateway.get<Preview>(`/v1/previews/${id}`), { timeout: 5000 })
    .toMatchObject({ state: 'failed' })
  expect((await done(preview(gateway, 'show', id))).out).toMatch(
    /state +failed\n[^]*\n\nThe new version did not become live[^]*\| said by [^]*The whole log: tarmac preview show/,
  )
})

test('Ctrl-C destroys a preview that is not ready yet', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const run = preview(gateway, 'shop', folder)
  await expect.poll(() => run.err, { timeout: 9000 }).toContain('=> pending')
  run.interrupt.abort('SIGINT')
  expect(await done(run)).toMatchObject({ code: 130, out: '' })
  expect(run.err).toMatch(/destroying pv-\w+; a second Ctrl-C[^]*The gateway destroys pv-/)
  const { previews } = await gateway.get<PreviewPage>('/v1/previews')
  expect(previews).toMatchObject([{ ending: { why: 'asked' } }])
})

test('the fourth preview is refused with the names of the three, and --evict replaces the oldest', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const image = gateway.images.put('shop', 'v1').name
  const ask = (...more: string[]) =>
    done(preview(gateway, 'shop', '--image', image, '--detach', ...more))
  const ids = [await ask(), await ask(), await ask()].map(({ out }) => out.trim())
  const refused = await ask()
  expect(refused).toMatchObject({ code: 23, out: '' })
  for (const id of ids) expect(refused.err).toContain(id)
  expect((await ask('--evict', 'oldest')).code).toBe(0)
})

test('a command runs in a preview, and its exit code and output are those of the client', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const image = gateway.images.put('shop', 'v1').name
  const made = await done(preview(gateway, 'shop', '--image', image))
  const id = /(pv-\w+)\.flycast/.exec(made.out)![1]!
  gateway.fly.exec = (command) => ({
    exit_code: 3,
    stdout: `${command.join('|')}\n`,
    stderr: 'no\n',
  })
  // As a process: what follows -- is not an option of the client.
  const argv = [main, 'preview', 'exec', id, '--', 'ls', '--json', '-l']
  const options = {
    env: { ...process.env, TARMAC_GATEWAY: gateway.url, TARMAC_TOKEN: token, CI: '' },
  }
  const ran = promisify(execFile)(process.execPath, argv, options)
  await expect(ran).rejects.toMatchObject({ code: 3, stdout: 'ls|--json|-l\n', stderr: 'no\n' })
  const json = await done(preview(gateway, 'exec', id, '--json', '--', 'ls'))
  expect(json.code).toBe(3)
  expect(JSON.parse(json.out)).toMatchObject({ exitCode: 3, exec: { stdout: 'ls\n' } })
  gateway.fly.exec = () => ({ exit_signal: 9 })
  expect((await done(preview(gateway, 'exec', id, '--', 'ls'))).code).toBe(137)

  expect((await done(preview(gateway, 'logs', id))).out).toMatch(/^said by \S+\n$/)
  expect((await done(preview(gateway, 'stop', id))).out).toBe(
    `${id} is stopped; no request reaches it until: tarmac preview start ${id}\n`,
  )
  expect((await done(preview(gateway, 'stats'))).out).toMatch(
    /^1 preview: 1 stopped; the oldest is .*\ncost: not known[^]*\nshop +alice-b +1 /,
  )
  const started = await done(preview(gateway, 'start', id))
  expect(started.out).toBe(`${id} is ready: http://shop-${id}.flycast\n`)
})

test('watch prints one line for each change where there is no terminal', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const run = preview(gateway, 'watch', 'shop')
  await expect.poll(() => run.err, { timeout: 9000 }).toBe('tarmac: no previews\n')
  const image = gateway.images.put('shop', 'v1').name
  const { body } = await gateway.call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'bob',
    source: { image },
  })
  await expect
    .poll(() => run.err, { timeout: 9000 })
    .toContain(`${body.id} of shop for bob is ready`)
  await gateway.call('DELETE', `/v1/previews/${body.id}`)
  await expect.poll(() => run.err, { timeout: 9000 }).toContain('for bob is destroyed')
  run.interrupt.abort('SIGINT')
  expect(await run.code).toBe(130)
  expect(run.err.match(/is ready/g)?.length).toBe(1)
})

test('a wrong use says what is right', async () => {
  await using gateway = await startMachines({ hasKey: true })
  const wrong: [string[], RegExp][] = [
    [[], /The usage is: tarmac preview APP \[FOLDER\], or ls\|/],
    [['shop', '--ttl', '30'], /--ttl is a span of at least 1 s, like 90s, 30m or 2h, not 30/],
    [['shop', '--ttl', '9h'], /lives at most 3600 s/],
    [['shop', '--image', 'a', '--release', '1'], /Give one of --image and --release/],
    [['shop', 'web', '--image', 'a'], /Give a folder or --image, not both/],
    [['shop', '--image', 'a', '--dockerfile', 'b'], /--dockerfile is about a folder/],
    [['shop', '--owner', 'A B'], /--owner is invalid: an owner is named by/],
    [['shop', '--evict', 'all'], /--evict is invalid/],
    [['ls', '--follow'], /--follow is not an option of tarmac preview ls/],
    [['list', '--follow'], /--follow is not an option of tarmac preview ls/],
    [['exec', 'pv-1'], /The usage is/],
    [['exec', 'pv-1', 'ls', '-l'], /Put -- before the command/],
    [['exec', 'pv-1', '--timeout', '6m', '--', 'ls'], /--timeout is a span .*at most 300 s/],
    [['logs', 'pv-1', '--lines', '0'], /--lines is a number from 1 to 1000/],
  ]
  for (const [args, text] of wrong) {
    const { code, err } = await done(preview(gateway, ...args))
    expect(err).toMatch(text)
    expect(code).toBe(2)
  }
})

test('a preview of an image is made once where the connection breaks before the answer', async () => {
  await using gateway = await startMachines()
  const image = gateway.images.put('shop', 'v1').name
  await using proxy = await startProxy(Number(new URL(gateway.url).port))
  let times = 0
  // Cut when the record is made, before the answer.
  using _cut = gateway.store.previews.onChange(() => {
    if (gateway.store.previews.countLiving() === 1 && times++ === 0) proxy.cut()
  })
  const behind = { ...gateway, url: proxy.url }
  const made = await done(preview(behind, 'shop', '--image', image, '--detach'))
  expect(made.code).toBe(0)
  expect(times).toBeGreaterThan(0)
  expect(await gateway.store.previews.living()).toMatchObject([{ id: made.out.trim() }])
})
