import { expect, test, vi } from 'vitest'
import { readCommandLine } from '../../client/src/command-line.ts'
import { deployImage } from '../../client/src/image/image.ts'
import type { ImageCommand } from '../../client/src/image/read-image.ts'
import { Gateway } from '../../client/src/gateway.ts'
import type { Printer } from '../../client/src/print.ts'
import { startHttp, token, toBuildFailed, toLive } from '../gateway/http/start-http.ts'

vi.setConfig({ testTimeout: 20_000 })

const env = { TARMAC_GATEWAY: 'http://tarmac:8080' }
const read = (...args: string[]) => readCommandLine(args, env)

test('an image is named as for docker pull, and sent in full', () => {
  expect(
    read('image', 'shop', 'nginx', '--owner', 'ada', '--env', 'A=1', '--detach'),
  ).toMatchObject({
    name: 'image',
    app: 'shop',
    source: { image: 'docker.io/library/nginx:latest' },
    options: { owner: 'ada', env: { A: '1' }, trigger: 'cli' },
    detach: true,
  })
})

test('a promotion is of the newest release, or of the one that is named', () => {
  expect(read('promote', 'staging', '--to', 'shop')).toMatchObject({
    name: 'promote',
    app: 'shop',
    source: { app: 'staging', release: 'newest' },
  })
  const more = ['--release', '3', '--from-owner', 'ada', '--owner', 'bob', '--strategy', 'canary']
  expect(read('promote', 'staging', '--to', 'shop', ...more)).toMatchObject({
    source: { app: 'staging', release: 3, owner: 'ada' },
    options: { owner: 'bob', strategy: 'canary' },
  })
})

test.each([
  [['image', 'shop'], 'The usage is: tarmac image APP IMAGE.'],
  [['image', 'shop', 'https://ghcr.io/acme/shop'], 'has no “https://”'],
  [['image', 'shop', 'ghcr.io/acme/Shop'], 'Write shop'],
  [['image', 'shop', 'nginx', '--build', 'A=1'], '--build is not an option of tarmac image'],
  [['image', 'shop', 'nginx', '--to', 'shop'], '--to is not an option of tarmac image'],
  [['promote', 'staging'], 'Name the app to deploy to'],
  [['promote', 'shop', '--to', 'shop'], 'tarmac rollback shop'],
  [['promote', 'shop', '--to', 'Shop!'], 'An app name is'],
  [['promote', 'aa', '--to', 'bb', '--release', 'last'], '--release is given the number'],
  [['promote', 'aa', '--to', 'bb', '--from-owner', 'Ada!'], '--from-owner is no name'],
  [['promote', 'aa', '--to', 'bb', '--detach=no'], 'detach'],
])('%s is refused: %s', (args, text) => {
  expect(() => read(...args)).toThrow(text)
})

/** Runs such a command against a gateway whose records are real. */
async function run(
  args: string[],
  moves: Parameters<Awaited<ReturnType<typeof startHttp>>['play']>[0],
): Promise<{ code: number; said: string[]; asked: object[] }> {
  const asked: object[] = []
  await using http = await startHttp({
    async deployExisting(_caller, source, { app, options, idempotencyKey }) {
      asked.push({ source, app, owner: options.owner, hasKey: idempotencyKey !== null })
      return http.store.create({ id: 'd1', app, options, source: null, idempotencyKey })
    },
  })
  const said: string[] = []
  const say = (what: string) => {
    said.push(what)
    return 0 as const
  }
  const printer: Printer = {
    note: say,
    sending: () => ({ plan: () => {}, sent: () => {}, note: () => {}, done: () => {} }),
    accepted: ({ id }) => void say(`accepted ${id}`),
    event: ({ type }) => void say(type),
    detached: () => say('detached'),
    verdict: ({ state }) => (say(state), state === 'live' ? 0 : 11),
    cancelled: () => 0,
    progress: () => {},
    output: () => {},
    screen: null,
    result: () => 0,
    failed: () => 1,
    interrupted: () => 130,
  }
  const command = read(...args) as ImageCommand
  const gateway = new Gateway(new URL(http.url), token)
  const ended = deployImage(command, gateway, printer, new AbortController().signal)
  await expect.poll(() => said.length, { timeout: 5000 }).toBeGreaterThan(0)
  if (!command.detach) await http.play(moves)
  return { code: await ended, said, asked }
}

test('it follows the deployment to its end, and exits as a deploy does', async () => {
  const live = await run(['image', 'shop', 'nginx:1.27', '--owner', 'ada'], toLive)
  expect(live.code).toBe(0)
  expect([live.said[0], live.said.at(-1)]).toEqual(['accepted d1', 'live'])
  expect(live.asked).toEqual([
    {
      source: { image: 'docker.io/library/nginx:1.27' },
      app: 'shop',
      owner: 'ada',
      hasKey: true,
    },
  ])
  const failed = await run(['promote', 'staging', '--to', 'shop'], toBuildFailed)
  expect(failed.code).toBe(11)
  expect(failed.asked).toMatchObject([{ source: { app: 'staging', release: 'newest' } }])
})

test('with --detach it returns when the gateway has the request', async () => {
  const { code, said } = await run(['image', 'shop', 'nginx', '--detach'], [])
  expect([code, said]).toEqual([0, ['accepted d1', 'detached']])
})
