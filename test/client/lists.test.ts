import { expect, test } from 'vitest'
import { audit } from '../../client/src/audit/audit.ts'
import { readCommandLine } from '../../client/src/command-line.ts'
import { Gateway } from '../../client/src/gateway.ts'
import { overview } from '../../client/src/overview/overview.ts'
import { queue } from '../../client/src/queue/queue.ts'
import type { Printer } from '../../client/src/print.ts'
import { token } from '../gateway/http/start-http.ts'
import { startMachines } from '../gateway/start-machines.ts'

/** What `tarmac …` prints about this gateway. */
async function tarmac(url: string, ...args: string[]): Promise<string> {
  const out: string[] = []
  const printer = { result: (_facts: object, lines: string[]) => (out.push(...lines), 0) }
  const command = readCommandLine(args, { TARMAC_GATEWAY: url, TARMAC_TOKEN: token })
  const parts = [new Gateway(new URL(url), token), printer as Printer] as const
  const signal = AbortSignal.timeout(10_000)
  if (command.name === 'audit') await audit(command, ...parts, signal)
  if (command.name === 'queue')
    await queue(command.request, { gateway: parts[0], printer: parts[1], signal })
  if (command.name === 'overview') await overview(command, ...parts, signal)
  return out.join('\n')
}

test('apps, deployments and the audit trail are listed from a gateway, with and without filters', async () => {
  await using gateway = await startMachines()
  const { images, deploy } = gateway
  await deploy('shop', { image: images.put('shop', 'v1').name }, { branch: 'main' })

  const lists = {
    apps: /^shop +live/m,
    'apps s* --state live --limit 1': /^shop +live/m,
    deployments: /shop +1 +live/,
    'deployments shop --branch main --actor operator --limit 1': /shop +1 +live/,
    'deployments --environment app': /shop +1 +live/,
    'deployments --environment preview': /^no deployment matches$/,
    'releases shop': /^ +1 +healthy .* shop@\w+$/m,
    'releases shop --owner ada': /^no release$/,
    queue: /^builds: 0 of \d+ in use|nothing runs, and nothing waits/m,
    audit: /operator +deployExisting +shop +ok/,
    'audit --app shop --since 1h --limit 1': /operator +deployExisting +shop +ok/,
  }
  for (const [line, expected] of Object.entries(lists))
    expect(await tarmac(gateway.url, ...line.split(' ')), line).toMatch(expected)
})

test('the queue is paused, one goes first, and it is resumed', async () => {
  await using gateway = await startMachines()
  const { images } = gateway
  expect(await tarmac(gateway.url, 'queue', 'pause', '--why', 'moves')).toMatch(
    /^paused by operator at .* UTC: moves$/,
  )
  const { body } = await gateway.call('POST', '/v1/apps/shop/deployments', {
    source: { image: images.put('shop', 'v1').name },
  })
  const { id } = body as { id: string }
  expect(await tarmac(gateway.url, 'queue', 'first', id)).toBe('shop #1 goes first')
  expect(await tarmac(gateway.url, 'queue')).toMatch(
    /an operator has paused it, place 1; goes first/,
  )
  expect(await tarmac(gateway.url, 'queue', 'resume')).toBe('the queue is not paused')
})

test('an entry of the audit trail says each thing once', async () => {
  await using gateway = await startMachines()
  await gateway.call('POST', '/v1/tokens', { name: 'ci', apps: ['shop'], expires: '2100-01-01' })
  const text = await tarmac(gateway.url, 'audit', '--command', 'tokens.create')
  expect(text).toMatch(
    / name=ci, scopes=\["deploy"\], apps=\["shop"\], expiresAt: 2100-01-01T00:00:00\.000Z, made \w+$/,
  )
})

test('the app of tarmac audit is what the entries are about, and not the app of a builder', () => {
  expect(() => readCommandLine(['audit', '--app', 'shop'], {})).toThrow(
    'The address of the gateway is missing.',
  )
})
