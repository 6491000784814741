import { expect, test as sequential } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import { Gateway } from '../../../client/src/gateway.ts'
import { readCommandLine } from '../../../client/src/command-line.ts'
import type { Printer } from '../../../client/src/print.ts'
import type { RuntimeCommand } from '../../../client/src/runtime/read-runtime.ts'
import { runRuntime } from '../../../client/src/runtime/run-runtime.ts'
import { token } from '../../gateway/http/start-http.ts'
import { startMachines } from '../../gateway/start-machines.ts'

// The tests wait for their turn at Fly's limits, so they wait together.
const test = sequential.concurrent

type Machines = Awaited<ReturnType<typeof startMachines>>

/** A printer that keeps what it prints. */
function keeper() {
  const out: string[] = []
  const printer = {
    note: (text: string) => void out.push(text),
    accepted: ({ app }: { app: string }) => void out.push(`accepted ${app}`),
    event: (event: { type: string; text?: string }) =>
      void (event.type === 'warning' && out.push(`warning ${event.text}`)),
    verdict: ({ state }: { state: string }) => (out.push(state), state === 'live' ? 0 : 22),
    result: (_facts: object, lines: string[]) => (out.push(...lines), 0),
    failed: ({ code }: { code: string }) => (out.push(`failed ${code}`), 2),
    interrupted: () => 130,
  } as unknown as Printer
  return { out, printer }
}

/** Runs `tarmac …` against the gateway. */
async function tarmac(machines: Machines, ...argv: string[]) {
  const { out, printer } = keeper()
  const address = ['--gateway', machines.url, '--token', token]
  const command = readCommandLine([...argv, ...address], {}) as RuntimeCommand
  const gateway = new Gateway(new URL(machines.url), token)
  const signal = AbortSignal.timeout(60_000)
  const code = await runRuntime(command, { gateway, printer, signal })
  return { code, out }
}
async function shop(machines: Machines) {
  const { name } = machines.images.put('shop', 'v1')
  expect(await machines.deploy('shop', { image: name })).toMatchObject({ state: 'live' })
}

test('secrets set deploys and follows; --stage says how to deploy; list shows both kinds', async () => {
  await using machines = await startMachines()
  await shop(machines)
  const set = await tarmac(machines, 'secrets', 'set', 'shop', 'A=1', 'B=2')
  expect(set).toEqual({ code: 0, out: ['shop: added A, B', 'accepted shop', 'live'] })

  const staged = await tarmac(machines, 'secrets', 'set', 'shop', 'C=3', 'A=1', '--stage')
  expect(staged).toEqual({
    code: 0,
    out: [
      'shop: added C; same value as before: A',
      'Staged: machines get it with the next deployment, or now with: tarmac secrets deploy shop',
    ],
  })
  const { out } = await tarmac(machines, 'secrets', 'list', 'shop')
  expect(out.map((line) => line.split(/ {2,}/).filter((_, at) => at !== 2))).toEqual([
    ['NAME', 'KIND', 'UPDATED (UTC)', 'STATE'],
    ['A', 'runtime', '-', 'deployed'],
    ['B', 'runtime', '-', 'deployed'],
    ['C', 'runtime', '-', 'staged'],
  ])

  const deployed = await tarmac(machines, 'secrets', 'deploy', 'shop')
  expect(deployed).toEqual({ code: 0, out: ['accepted shop', 'live'] })
  const unset = await tarmac(machines, 'secrets', 'unset', 'shop', 'C', 'NEVER', '--stage')
  expect(unset.out[0]).toBe('shop: removed C; not there: NEVER')
})

test('a change waits for another deployment of the target, and is deployed after it', async () => {
  await using machines = await startMachines()
  await shop(machines)
  const source = new Blob(['a source'])
  const { body } = await machines.form<Deployment>('/v1/apps/shop/deployments', { source })
  const running = tarmac(machines, 'secrets', 'set', 'shop', 'A=1')
  await expect
    .poll(() => machines.fly.apps.get('shop')!.secrets, { timeout: 10_000 })
    .toHaveLength(1)
  await machines.build(body.id, null)
  const { code, out } = await running
  expect(out).toEqual([
    'shop: added A',
    `deployment ${body.id} has not ended; this goes on when it has`,
    'accepted shop',
    'live',
  ])
  expect(code).toBe(0)
})

test('a deployment that fails gives its exit code, and says that the change stays', async () => {
  await using machines = await startMachines()
  await shop(machines)
  machines.fly.natures.set(machines.fly.machines('shop')[0]!.image_ref!.digest!, 'crashes')
  const { code, out } = await tarmac(machines, 'secrets', 'set', 'shop', 'A=bad')
  expect(code).toBe(22)
  expect(out.at(-1)).toContain('What was changed stays changed')
})

test('env set counts later, and with --deploy at once; list says where each value comes from', async () => {
  await using machines = await startMachines()
  await shop(machines)
  expect(await tarmac(machines, 'env', 'set', 'shop', 'LOG=debug')).toEqual({
    code: 0,
    out: ['shop: added LOG', 'It counts from the next deployment.'],
  })
  expect((await tarmac(machines, 'env', 'list', 'shop')).out).toEqual([
    'NAME  VALUE  FROM        STATE',
    'LOG   debug  settings    from the next deployment',
    'PORT  8080   its source  release 1',
  ])
  const deployed = await tarmac(machines, 'env', 'set', 'shop', 'LOG=debug', '--deploy')
  expect(deployed.out).toEqual(['shop: same value as before: LOG', 'accepted shop', 'live'])
  const gone = await tarmac(machines, 'env', 'unset', 'shop', 'LOG', '--deploy')
  expect(gone.out).toEqual([
    'shop: removed LOG',
    'accepted shop',
    'warning This release lacks variables that release 2 had: LOG. To keep one: tarmac env set shop NAME=VALUE',
    'live',
  ])
})

test('a wrong use of the command line is refused, and says what is right', () => {
  const read = (...argv: string[]) => readCommandLine([...argv, '--gateway', 'http://g'], {})
  for (const argv of [
    ['secrets', 'set'],
    ['secrets', 'show', 'shop'],
    ['env', 'deploy', 'shop'],
  ])
    expect(() => read(...argv)).toThrow('The usage is: tarmac')
  expect(() => read('secrets', 'set', 'shop', 'A=1', '--build', 'B=2')).toThrow('not both')
  expect(() => read('secrets', 'list', 'shop', '--stage')).toThrow('needs only the app')
  expect(() => read('secrets', 'unset', 'shop', 'A=1')).toThrow('unset needs names alone: A')
  expect(() => read('secrets', 'unset', 'shop')).toThrow('Name at least one')
  expect(() => read('secrets', 'set', 'shop', 'A=1', '--deploy')).toThrow(
    'not an option of tarmac secrets',
  )
  expect(() => read('env', 'set', 'shop', 'A=1', '--stage')).toThrow('not an option of tarmac env')
  expect(() => read('secrets', 'set', 'Shop', 'A=1')).toThrow('app')
  expect(read('secrets', 'set', 'shop', '--build', 'A=1')).toMatchObject({
    build: true,
    args: ['A=1'],
  })
})
