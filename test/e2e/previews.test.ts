import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ExecAnswer } from '#api/previews/preview-calls.ts'
import type { Preview, PreviewPage } from '#api/previews/preview.ts'
import { portOf } from '../../gateway/src/host/port-of.ts'
import { askFly } from '../../lab/use-lab.ts'
import { type CrashLab, startCrashLab } from './crash-lab.ts'
import { pageApp } from './start.ts'
import { startEnv } from '../start-env.ts'

/** What the machine of a preview reaches, by packets from inside a container on localfly. */
const address = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
/** Of the world outside Fly: two pages, and what arrives by UDP. */
const [allowed, other] = [createServer(), createServer()]
const [allowedUdp, otherUdp] = [createSocket('udp4'), createSocket('udp4')]
const arrived = new Set<string>()

let lab: CrashLab
let deployment = ''
/** A machine of the app in the gateway's network. */
let neighbour = ''
const closing = new AsyncDisposableStack()

beforeAll(async () => {
  for (const server of [allowed, other]) {
    server.on('request', (_request, response) => response.end('outside'))
    await once(server.listen(0, '0.0.0.0'), 'listening')
    closing.defer(() => void server.close())
  }
  for (const [name, socket] of [
    ['allowed', allowedUdp],
    ['other', otherUdp],
  ] as const) {
    socket.on('message', () => arrived.add(name))
    await once(socket.bind(0, '0.0.0.0'), 'listening')
    closing.defer(() => void socket.close())
  }
  lab = closing.use(await startCrashLab())
  const { record } = await lab.end(await lab.submit('shop', pageApp('a page')))
  expect(record.state).toBe('live')
  deployment = record.id
  neighbour = await ipOf('shop')
}, 180_000)
afterAll(() => closing.disposeAsync())

const ports = () => [`${portOf(allowed)}/tcp`, `${allowedUdp.address().port}/udp`]

type Answer<T> = { status: number; body: T }
async function ask<T>(method: string, path: string, body?: object): Promise<Answer<T>> {
  const headers = { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' }
  const sent = { method, headers, ...(body && { body: JSON.stringify(body) }) }
  const answer = await fetch(lab.gateway + path, { ...sent, signal: AbortSignal.timeout(60_000) })
  return { status: answer.status, body: (await answer.json()) as T }
}

const ipOf = async (app: string, at = 0) =>
  ((await lab.machines(app)) as unknown as { private_ip: string }[])[at]!.private_ip

/** Sets a template of two groups, so that a preview has a neighbour of its own. */
const setTemplate = async (egress: string[] | null) => {
  const serve = 'httpd -f -p 8080 -h /www'
  const config = `[processes]\nweb = "${serve}"\nother = "${serve}"\n[http_service]\ninternal_port = 8080\nprocesses = ["web"]\n`
  const set = await ask('PUT', '/v1/apps/shop/templates/closed', { config, egress })
  expect(set.status).toBe(200)
}
const asked = () => ({ app: 'shop', owner: 'eve', template: 'closed', source: { deployment } })

/** What a machine of the preview gets from each place, or `-`. */
async function reached({ id, flyApp }: Preview) {
  const mine = [await ipOf(flyApp, 0), await ipOf(flyApp, 1)]
  const script = [
    `for to in ${address}:${portOf(allowed)} ${address}:${portOf(other)} ${neighbour}:8080`,
    `do wget -T 1 -q -O - http://$to/ 2>/dev/null || echo -; echo; done`,
    // Only one of the two is the machine itself: it reaches itself, whatever the rules say.
    `for to in ${mine.map((ip) => `${ip}:8080`).join(' ')}`,
    `do wget -T 1 -q -O - http://$to/ 2>/dev/null || echo -; echo; done`,
    `for to in ${allowedUdp.address().port} ${otherUdp.address().port}`,
    `do timeout 1 tftp -g -r x -l /dev/null ${address} $to; done; true`,
  ]
  const command = ['sh', '-c', script.join('\n')]
  const { body } = await ask<ExecAnswer>('POST', `/v1/previews/${id}/exec`, { command })
  const [tcp, otherTcp, gateways, ...own] = body.stdout.split('\n').filter(Boolean)
  return { tcp, otherTcp, gateways, own: own.toSorted() }
}

test('a preview reaches the ports of its template and nothing else, and answers requests', async () => {
  await setTemplate(null)
  const free = (await ask<Preview>('POST', '/v1/previews?wait=true', asked())).body
  // The control: without egress both pages are reached, and the gateway's network is not.
  expect(await reached(free)).toEqual({
    tcp: 'outside',
    otherTcp: 'outside',
    gateways: '-',
    own: ['a page', 'a page'],
  })
  await expect.poll(() => [...arrived].toSorted()).toEqual(['allowed', 'other'])

  await setTemplate(ports())
  arrived.clear()
  const some = (await ask<Preview>('POST', '/v1/previews?wait=true', asked())).body
  expect(await reached(some)).toEqual({
    tcp: 'outside',
    otherTcp: '-',
    gateways: '-',
    own: ['-', 'a page'],
  })
  await expect.poll(() => [...arrived]).toEqual(['allowed'])
  expect(await lab.page(some.flyApp)).toBe('a page')
}, 120_000)

test('a preview whose gateway was killed after the policy has no machine without it', async () => {
  await setTemplate([])
  const owner = 'mallory'
  await lab.dies('egress-set', () => ask('POST', '/v1/previews', { ...asked(), owner }))
  await lab.start('gateway')
  const list = () => ask<PreviewPage>('GET', `/v1/previews?owner=${owner}`)
  await expect
    .poll(async () => (await list()).body.previews, { timeout: 30_000 })
    .toMatchObject([{ state: 'ready' }])
  const [preview] = (await list()).body.previews
  arrived.clear()
  expect(await reached(preview!)).toMatchObject({ tcp: '-', otherTcp: '-', own: ['-', 'a page'] })
  expect(arrived.size).toBe(0)
  expect(await lab.page(preview!.flyApp)).toBe('a page')
}, 120_000)

/** Runs `tarmac doctor --live --preview`. `onNote` gets what it says on the way. */
async function doctor(onNote = (_said: string, _kill: () => void) => {}) {
  const main = join(import.meta.dirname, '../../client/src/main.ts')
  const env = { ...startEnv, TARMAC_GATEWAY: lab.gateway, TARMAC_TOKEN: lab.token }
  const child = spawn(process.execPath, [main, 'doctor', '--live', '--preview'], { env })
  let said = ''
  child.stderr.on('data', (part) => onNote((said += String(part)), () => child.kill('SIGINT')))
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { out, code: code as number, said }
}
const leftOfDoctor = async () => {
  const { apps } = await askFly<{ apps: { name: string }[] }>(lab, 'GET', '/apps?org_slug=personal')
  return apps.filter(({ name }) => name.startsWith('tarmac-doctor'))
}

test('tarmac doctor --live --preview makes a preview, uses it, and leaves nothing', async () => {
  const { out, said } = await doctor()
  const steps = ['create', 'ready', 'request', 'log', 'extend', 'destroy', 'gone']
  const lines = out.split('\n')
  const of = lines.slice(lines.indexOf('live test of a preview') + 1).slice(0, steps.length)
  expect(of).toEqual(
    steps.map((name) => expect.stringMatching(`^  ok +${name}: .* \\(\\d+\\.\\d\\d s\\)$`)),
  )
  expect(said).toMatch(/the preview is pv-\w{12}/)
  expect(await leftOfDoctor()).toEqual([])
}, 90_000)

test('after Ctrl-C tarmac doctor --live --preview leaves nothing either', async () => {
  const { code } = await doctor((said, interrupt) => {
    if (said.includes('the preview is pv-')) interrupt()
  })
  expect(code).not.toBe(0)
  expect(await leftOfDoctor()).toEqual([])
}, 90_000)
