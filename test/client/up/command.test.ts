import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { findBuilder } from '../../../client/src/builder/find-builder.ts'
import { readCommandLine } from '../../../client/src/command-line.ts'
import { knownGateway } from '../../../client/src/up/known-gateway.ts'
import {
  knownBuilders,
  readSideFile,
  setSideFileAside,
  sidePath,
  writeSideFile,
} from '../../../client/src/up/side-file.ts'
import { askScript } from '../../../client/src/up/builder/ask-inside.ts'
import { startHttp, token as gatewayToken } from '../../gateway/http/start-http.ts'
import { image, startFly, token, type TestFly } from './start-fly.ts'
import { startEnv } from '../../start-env.ts'

const main = join(import.meta.dirname, '../../../client/src/main.ts')

/** Runs the client as a user does. */
async function tarmac(fly: TestFly, args: string[], { env = {}, stdin = '' } = {}) {
  const given = { ...startEnv, ...fly.env, ...env }
  const child = spawn(process.execPath, [main, ...args], { env: given })
  child.stdin.end(stdin)
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { out, err, code: await code }
}

test('up prints what to set and how to reach it, the secrets only once; down removes it', async () => {
  await using fly = await startFly()
  const up = ['up', '--image', image, '--region', 'fra']
  const first = await tarmac(fly, up, { env: { FLY_API_TOKEN: token } })
  expect(first.code, first.err).toBe(0)
  const secrets = fly.state.apps.get('tarmac-personal')!.secrets
  expect(first.out).toBe(
    `TARMAC_GATEWAY=http://tarmac-personal.flycast
TARMAC_TOKEN=${secrets['TARMAC_TOKENS']!.value}
TARMAC_SECRETS_KEY=${secrets['TARMAC_SECRETS_KEY']!.value}
`,
  )
  for (const words of ['wg-quick up', 'fly proxy 8080:80 tarmac-personal.flycast', 'from CI'])
    expect(first.err).toContain(words)
  expect(first.err).not.toContain(token)

  const again = await tarmac(fly, [...up, '--token', '-', '--json'], { stdin: `${token}\n` })
  const result = JSON.parse(again.out.trim().split('\n').at(-1)!)
  expect(result).toMatchObject({
    type: 'result',
    exitCode: 0,
    appName: 'tarmac-personal',
    port: 80,
  })
  expect(again.out).not.toContain(secrets['TARMAC_TOKENS']!.value)

  const kept = await tarmac(fly, ['down'], { env: { FLY_API_TOKEN: token } })
  expect(kept.err).toContain('the app tarmac-personal stays without machines')
  expect(fly.inventory()).toMatchObject({ machines: [], volumes: ['fra 50 GB'] })
  const gone = await tarmac(fly, ['down', '--delete-volume'], { env: { FLY_API_TOKEN: token } })
  expect(gone.err).toMatch(/destroyed, with volume vol_\w+ \(50 GB\)/)
  expect(fly.inventory()).toEqual({ apps: [], machines: [], volumes: [] })
  const none = await tarmac(fly, ['down'], { env: { FLY_API_TOKEN: token } })
  expect(none).toMatchObject({ code: 0, err: expect.stringContaining('no builder') as string })
}, 200_000)

test('up on two computers at once makes one builder; the one whose secrets do not count gets a warning', async () => {
  await using fly = await startFly()
  const folders = ['one', 'two'].map((name) => join(fly.env.XDG_CONFIG_HOME, name))
  const runs = await Promise.all(
    folders.map((folder) =>
      tarmac(fly, ['up', '--image', image, '--region', 'fra'], {
        env: { FLY_API_TOKEN: token, XDG_CONFIG_HOME: folder },
      }),
    ),
  )
  expect(runs.map(({ code }) => code)).toEqual([0, 0])
  expect(fly.inventory()).toEqual({
    apps: ['tarmac-personal: 1 addresses'],
    volumes: ['fra 50 GB'],
    machines: ['tarmac-builder started fra'],
  })
  const [machine] = fly.state.machinesOf('tarmac-personal')
  const counts = machine!.own.secrets['TARMAC_TOKENS']
  const files = folders.map((folder) => readSideFile(join(folder, 'tarmac/tarmac-personal.env')))
  const known = files.flatMap((file) => file?.TARMAC_TOKEN ?? [])
  expect(known).toEqual([counts])
  expect(fly.state.apps.get('tarmac-personal')!.secrets['TARMAC_TOKENS']!.value).toBe(counts)
  for (const [at, { out, err }] of runs.entries())
    if (files[at] === null) {
      expect(err).toContain('this computer does not have its token')
      expect(out).toBe('TARMAC_GATEWAY=http://tarmac-personal.flycast\n')
    } else expect(out).toContain(`TARMAC_TOKEN=${counts}`)
}, 200_000)

test('a side file that the builder does not know any more is named; down never loses an earlier key', async () => {
  await using fly = await startFly()
  const env = { FLY_API_TOKEN: token }
  const up = ['up', '--image', image, '--region', 'fra']
  await tarmac(fly, up, { env })
  const path = join(fly.env.XDG_CONFIG_HOME, 'tarmac/tarmac-personal.env')
  const first = readSideFile(path)
  writeSideFile(path, { ...first, TARMAC_SECRETS_KEY: 'another-key-for-the-tests' })
  expect((await tarmac(fly, up, { env })).err).toContain(
    `the builder does not work with the key in ${path}`,
  )
  writeSideFile(path, first!)

  const down = ['down', '--delete-volume']
  expect((await tarmac(fly, down, { env })).err).toContain(`moved to ${path}.removed:`)
  await tarmac(fly, up, { env })
  expect((await tarmac(fly, down, { env })).err).toContain(`moved to ${path}.removed-2:`)
  expect(readSideFile(`${path}.removed`)).toEqual(first)
}, 200_000)

test('a missing or wrong token is explained before anything is made', async () => {
  await using fly = await startFly()
  const missing = await tarmac(fly, ['up'])
  expect(missing).toMatchObject({ code: 3, out: '' })
  expect(missing.err).toContain('export FLY_API_TOKEN="$(fly tokens create org ORG)"')

  const wrong = await tarmac(fly, ['up'], { env: { FLY_API_TOKEN: 'nonsense' } })
  expect(wrong.code).toBe(3)
  expect(wrong.err).not.toContain('The operator of the gateway')
  expect(wrong.err).toContain('Fly does not take the token (Authenticate: token validation error)')

  const env = { FLY_API_TOKEN: token }
  const other = await tarmac(fly, ['up', '--org', 'acme', '--image', image], { env })
  expect(other.err).toContain('The token does not reach the organisation acme (unauthorized)')
  expect(other.err).toContain('Nothing was changed.')
  expect(fly.inventory().apps).toEqual([])

  const down = await tarmac(fly, ['down'])
  expect(down.err).toContain('| tarmac down --token -')
  const none = await tarmac(fly, ['down'], { env })
  expect(none.err).not.toContain('up uses it')

  const off = await tarmac(fly, ['up'], {
    env: { ...env, FLY_FLAPS_BASE_URL: 'http://127.0.0.1:65533' },
  })
  expect(off).toMatchObject({ code: 69 })
  expect(off.err).toContain('ECONNREFUSED 127.0.0.1:65533. Is this computer on the network?')
}, 200_000)

test('the keys of builders of the same name that were removed are all kept', async () => {
  await using fly = await startFly()
  const path = sidePath(fly.env, 'tarmac-acme')
  for (const key of ['one', 'two', 'three']) {
    writeSideFile(path, { TARMAC_SECRETS_KEY: key })
    setSideFileAside(path)
  }
  const kept = ['', '-2', '-3'].map((more) => readSideFile(`${path}.removed${more}`))
  expect(kept.map((file) => file?.TARMAC_SECRETS_KEY)).toEqual(['one', 'two', 'three'])
  expect(knownBuilders(fly.env)).toEqual([])
})

test.each([
  [['up', '--size', 'huge'], /--size: A size is one of Fly’s/],
  [['up', '--size', 'performance-2x:1gb'], /performance-2x has 4096 to 16384 MB of memory/],
  [['up', '--volume', '0'], /--volume is given in GB/],
  [['up', '--env', 'FLY_REGION=fra'], /Fly sets the names that begin with FLY_/],
  [['up', '--env', 'FOO'], /--env is given as NAME=VALUE, not as FOO/],
  [['up', '--network', '9'], /--network is given a letter/],
  [['up', '--gateway', 'http://a'], /--gateway is not an option of tarmac up/],
  [['up', 'acme'], /The usage is: tarmac up \[OPTIONS\]/],
  [['bilder'], /There is no such command: tarmac bilder/],
])('%s is refused', (args, words) => {
  expect(() => readCommandLine(args, { FLY_API_TOKEN: 'x' })).toThrow(words)
})

test('other commands use the file of the one builder that this computer knows', async () => {
  await using fly = await startFly()
  const folder = join(fly.env.XDG_CONFIG_HOME, 'tarmac')
  mkdirSync(folder, { recursive: true })
  const write = (app: string) =>
    writeFileSync(
      join(folder, `${app}.env`),
      `TARMAC_GATEWAY=http://${app}\nTARMAC_TOKEN=t-${app}\n`,
    )
  expect(knownGateway({}, fly.env)).toEqual({ gateway: null, token: '' })
  write('a')
  expect(knownGateway({}, fly.env)).toEqual({ gateway: 'http://a', token: 't-a' })
  // The token of a file goes to no other gateway.
  const set = { ...fly.env, TARMAC_GATEWAY: 'http://other' }
  expect(knownGateway({}, set)).toEqual({ gateway: 'http://other', token: '' })
  // It does to a tunnel on this computer.
  for (const tunnel of ['http://127.0.0.1:8080', 'http://localhost:8080', 'http://[::1]:8080'])
    expect(knownGateway({ gateway: tunnel }, fly.env)).toEqual({ gateway: tunnel, token: 't-a' })
  write('b')
  expect(() => knownGateway({}, fly.env)).toThrow(/knows a, b/)
  expect(knownGateway({ app: 'b' }, fly.env)).toEqual({ gateway: 'http://b', token: 't-b' })

  const asking = [
    ['deploy', 'shop'],
    ['follow', 'x'],
    ['retry', 'x'],
    ['cancel', 'x'],
    ['cache'],
    ['backup'],
  ]
  for (const words of [...asking, ['rollback', 'shop'], ['restore', 'x'], ['cache', 'rm', 'shop']])
    expect(readCommandLine([...words, '--app', 'b'], fly.env), words.join(' ')).toMatchObject({
      gateway: new URL('http://b'),
      token: 't-b',
    })
  // Of a token it names apps.
  const one = { ...fly.env, TARMAC_GATEWAY: 'http://b' }
  const made = readCommandLine(['token', 'create', 'ci', '--app', 'shop'], one)
  expect(made).toMatchObject({ name: 'token', token: 't-b' })
  const unknown = () => readCommandLine(['deploy', '--app', 'shop'], fly.env)
  expect(unknown).toThrow('tarmac deploy APP')
  const tunnel = { ...fly.env, TARMAC_GATEWAY: 'http://127.0.0.1:8080' }
  expect(knownGateway({}, tunnel)).toMatchObject({ token: '' })
  expect(knownGateway({ app: 'b' }, tunnel)).toMatchObject({ token: 't-b' })
})

test('a damaged side file is named, with what to do', () => {
  const env = { XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), 'tarmac-home-')) }
  const path = join(env.XDG_CONFIG_HOME, 'tarmac/tarmac-acme.env')
  mkdirSync(dirname(path))
  writeFileSync(path, 'TARMAC_GATEWAY="http://b.flycast"\r\nTARMAC_TOKEN="in-quotes"\r\n')
  expect(knownGateway({}, env)).toEqual({ gateway: 'http://b.flycast', token: 'in-quotes' })

  writeFileSync(path, 'garbage')
  expect(() => knownGateway({}, env)).toThrow(`${path}, is damaged: it has no line TARMAC_GATEWAY`)
  expect(() => findBuilder({}, env)).toThrow(`${path}, is damaged`)
  rmSync(path)
  mkdirSync(path)
  expect(() => knownGateway({}, env)).toThrow(`${path}, cannot be read: EISDIR`)
  expect(() => findBuilder({}, env)).toThrow(`${path}, cannot be read: EISDIR`)
})

test('the question inside a machine finds a real gateway, with a token from the environment alone', async () => {
  await using http = await startHttp()
  const script = askScript({ port: Number(new URL(http.url).port), path: '/readyz' })
  expect(script).not.toContain(gatewayToken)
  const env = { PATH: process.env['PATH'], TARMAC_TOKENS: gatewayToken }
  const child = spawn('node', ['-e', script], { env })
  const said = JSON.parse(await text(child.stdout))
  expect(said).toMatchObject({ status: 200 })
  expect(JSON.parse(said.body)).toMatchObject({ ready: true, parts: expect.anything() as object })
})
