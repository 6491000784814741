import { expect, test, vi } from 'vitest'
import type { Preview } from '../../../api/previews/preview.ts'
import type { ExecAnswer, PreviewLogs } from '../../../api/previews/preview-calls.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { startMachines } from '../start-machines.ts'

type Gateway = Awaited<ReturnType<typeof startMachines>>

const silent = [{ command: 'server', listen_sockets: [{ address: '127.0.0.1:8080' }] }]

/** A preview that is ready, and calls about it. */
async function makeReady({ fly, images, call }: Gateway) {
  const source = { image: images.put('shop', 'v1').name }
  const asked = { app: 'shop', owner: 'alice', source }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', asked)
  const { id, flyApp } = body
  return {
    ...body,
    machine: () => fly.machines(flyApp)[0]!,
    post: <T = Preview & ProblemBody>(what: string, sent?: object) =>
      call<T>('POST', `/v1/previews/${id}/${what}`, sent),
  }
}

test('a stopped preview is out of the proxy, so that no request starts it, until it is started', async () => {
  await using gateway = await startMachines()
  const { machine, post } = await makeReady(gateway)
  expect(await post('stop')).toMatchObject({ status: 200, body: { state: 'stopped' } })
  expect(machine()).toMatchObject({ state: 'stopped', cordoned: true, lease: null })
  expect((await post('stop')).body.state).toBe('stopped')
  expect(await post('suspend')).toMatchObject({ status: 409, body: { code: 'preview-not-ready' } })
  expect(await post('exec', { command: ['ls'] })).toMatchObject({
    status: 409,
    body: { code: 'preview-not-ready', state: 'stopped' },
  })

  const started = await post('start')
  expect(started).toMatchObject({ status: 200, body: { state: 'ready' } })
  expect(machine()).toMatchObject({ state: 'started', cordoned: false })
})

test('a suspended preview starts again, and one stopped for good loses its memory', async () => {
  await using gateway = await startMachines()
  const { machine, post } = await makeReady(gateway)
  expect((await post('suspend')).body.state).toBe('suspended')
  expect(machine()).toMatchObject({ state: 'suspended', cordoned: true })
  expect((await post('start')).body.state).toBe('ready')
  await post('suspend')
  expect((await post('stop')).body.state).toBe('stopped')
  expect(machine().state).toBe('stopped')
})

test('a preview that ends by itself when it is started stays stopped, and the answer says how', async () => {
  await using gateway = await startMachines()
  const { machine, post, id } = await makeReady(gateway)
  await post('stop')
  gateway.fly.processes = silent
  gateway.fly.natures.set(machine().image_ref!.digest!, 'crashes')
  expect(await post('start')).toMatchObject({
    status: 409,
    body: { code: 'preview-not-ready', detail: expect.stringContaining('exit code 7') },
  })
  expect(machine()).toMatchObject({ state: 'stopped', cordoned: true })
  expect((await gateway.get<Preview>(`/v1/previews/${id}`)).state).toBe('stopped')
})

test('a preview that starts or is over cannot be stopped, and has no command run in it', async () => {
  await using gateway = await startMachines()
  const { images, fly, call } = gateway
  const image = images.put('shop', 'v1')
  fly.processes = silent
  const { body } = await call<Preview>('POST', '/v1/previews', {
    app: 'shop',
    owner: 'bob',
    source: { image: image.name },
  })
  const post = (what: string, sent?: object) =>
    call<ProblemBody>('POST', `/v1/previews/${body.id}/${what}`, sent)
  for (const what of ['stop', 'start', 'suspend'])
    expect(await post(what)).toMatchObject({ status: 409, body: { code: 'preview-not-ready' } })
  expect(await post('restart')).toMatchObject({ status: 404, body: { code: 'route-not-found' } })
  await call('DELETE', `/v1/previews/${body.id}`)
  expect(await post('stop')).toMatchObject({ status: 409, body: { code: 'preview-over' } })
  expect(await post('exec', { command: ['ls'] })).toMatchObject({ body: { code: 'preview-over' } })
})

test('a command in a preview answers with its exit code and its output, within limits', async () => {
  await using gateway = await startMachines()
  const { post, machine } = await makeReady(gateway)
  const { fly } = gateway
  const run = (command: unknown, more = {}) =>
    post<ExecAnswer & ProblemBody>('exec', { command, ...more })
  fly.exec = (command) => ({ exit_code: 3, stdout: command.join('|'), stderr: 'no' })
  expect(await run(['sh', '-c', 'exit 3'])).toEqual({
    status: 200,
    body: {
      machine: machine().id,
      exitCode: 3,
      signal: null,
      stdout: 'sh|-c|exit 3',
      stderr: 'no',
      truncated: [],
    },
  })
  fly.exec = () => ({ exit_signal: 9, stdout: 'x'.repeat(2 ** 20 + 1) })
  const long = (await run(['yes'])).body
  expect(long).toMatchObject({ signal: 9, stderr: '', truncated: ['stdout'] })
  expect(long.stdout.length).toBe(2 ** 20)

  for (const wrong of [[], 'ls', ['a\0'], Array(101).fill('a'), ['x'.repeat(200_000)]])
    expect(await run(wrong)).toMatchObject({ status: 422, body: { code: 'option-invalid' } })
  expect((await run(['ls'], { timeoutSeconds: 301 })).body.code).toBe('option-invalid')
  expect((await run(['ls'], { shell: true })).body.code).toBe('option-unknown')
})

test('a command starts the machine that the proxy has stopped, as a request would', async () => {
  await using gateway = await startMachines()
  const { machine, post } = await makeReady(gateway)
  machine().state = 'stopped' // Fly's autostop
  expect((await post('exec', { command: ['ls'] })).status).toBe(200)
  expect(machine().state).toBe('started')
})

test('the log of a preview has the last lines of its programs, with their times', async () => {
  await using gateway = await startMachines()
  const { machine, id } = await makeReady(gateway)
  const at = new Date(Date.now() + 1000).toISOString()
  gateway.fly.printed = () => [
    { message: 'Starting init (commit: aa)...', timestamp: at },
    { message: 'one', timestamp: at },
    { message: 'two' },
  ]
  const { lines } = await gateway.get<PreviewLogs>(`/v1/previews/${id}/logs`)
  expect(lines).toEqual([
    { machine: machine().id, at: null, text: 'two' },
    { machine: machine().id, at, text: 'one' },
  ])
  expect((await gateway.get<PreviewLogs>(`/v1/previews/${id}/logs?lines=1`)).lines.length).toBe(1)
  expect(await gateway.call('GET', `/v1/previews/${id}/logs?lines=0`)).toMatchObject({
    body: { code: 'option-invalid' },
  })
})

test.for(['start', 'stop', 'suspend', 'exec', 'logs'] as const)(
  'a preview whose destroy begins meanwhile is over, and the answer of %s says so',
  { timeout: 20_000 },
  async (action) => {
    await using gateway = await startMachines()
    const { fly, call } = gateway
    const { machine, post, id, flyApp } = await makeReady(gateway)
    if (action === 'start' || action === 'exec') machine().state = 'stopped'
    const { promise: until, resolve: release } = Promise.withResolvers<void>()
    fly.holds.push({ on: action === 'logs' ? /GET .*\/machines$/ : /POST .*\/lease$/, until })
    const asked =
      action === 'logs'
        ? call<ProblemBody>('GET', `/v1/previews/${id}/logs`)
        : post(action, action === 'exec' ? { command: ['ls'] } : undefined)
    await vi.waitFor(() => expect(fly.holds).toEqual([]))
    await call('DELETE', `/v1/previews/${id}`)
    await vi.waitFor(() => expect(fly.apps.has(flyApp)).toBe(false), { timeout: 10_000 })
    release()
    const answer = await asked
    expect(answer).toMatchObject({ status: 409, body: { code: 'preview-over' } })
    expect(answer.body.detail).toMatch(/is (being )?destroyed \(asked\)\.$/)
  },
)
