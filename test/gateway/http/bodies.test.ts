import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { authorization, startHttp, token } from './start-http.ts'

vi.setConfig({ testTimeout: 30_000 }) // some tests wait, and machines may be busy

type Http = Awaited<ReturnType<typeof startHttp>>
const bearer = `Host: x\r\nAuthorization: Bearer ${token}\r\n`
const formType = 'Content-Type: multipart/form-data; boundary=frontier\r\n'
const problemOf = (answer: string) => [
  Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]),
  /"code":"([a-z-]+)"/.exec(answer)?.[1],
]
const file = '--frontier\r\nContent-Disposition: form-data; name="source"; filename="x"\r\n\r\n'
const field = (name: string, value = 'x') =>
  `--frontier\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
const end = '\r\n--frontier--\r\n'
const noInnerError = (http: Http) => {
  expect(http.logged.join('')).not.toContain('"level":50')
  expect(http.logged.join('')).not.toContain('"status":500')
}

/**
 * Sends a head, then one byte at a time while the connection is open. Returns the answer and its
 * delay.
 */
async function drip(http: Http, head: string, letter = 'a') {
  const line = connect(http.port, '127.0.0.1').on('error', () => {})
  let answer = ''
  line.on('data', (data) => (answer += data.toString()))
  const begun = performance.now()
  line.write(head)
  while (!line.closed && performance.now() - begun < 8000) {
    if (line.writable) line.write(letter)
    await wait(20)
  }
  line.destroy()
  return { answer, ms: performance.now() - begun }
}

const small = [
  ['settings', 'PATCH /v1/apps/shop HTTP/1.1\r\n'],
  ['a secret', 'PUT /v1/apps/shop/secrets/A HTTP/1.1\r\n'],
  [
    'a deployment as JSON',
    'POST /v1/apps/shop/deployments HTTP/1.1\r\nContent-Type: application/json\r\n',
  ],
  ['a rollout', 'POST /v1/rollouts HTTP/1.1\r\n'],
] as const
test.concurrent.each(small)('%s that drips in is cut, with an answer', async (_, line) => {
  await using http = await startHttp({ bodyMs: 200 }, { drainMs: 300 })
  const { answer, ms } = await drip(http, `${line}${bearer}Content-Length: 5000\r\n\r\n`)
  expect(problemOf(answer)).toEqual([408, 'body-too-slow'])
  expect(ms).toBeLessThan(6000)
  noInnerError(http)
})

const upload = `POST /v1/apps/shop/deployments HTTP/1.1\r\n${bearer}${formType}Content-Length: 100000\r\n\r\n`
const places = [
  ['before its first part', upload],
  ['in a field', `${upload}--frontier\r\nContent-Disposition: form-data; name="message"\r\n\r\n`],
  ['in the head of a part', `${upload}--frontier\r\nX-Head: `],
  ['between its parts', `${upload}${field('message')}--frontier`],
  [
    'behind its file',
    `${upload}${file}tar\r\n--frontier\r\nContent-Disposition: form-data; name="branch"\r\n\r\n`,
  ],
  ['behind its last part', `${upload}${file}tar${end}`],
  ['in a file without a name', `${upload}${file.replace('"x"', '""')}`],
] as const
test.concurrent.each(places)('a form that drips in %s is cut, with an answer', async (_, head) => {
  await using http = await startHttp({ bodyMs: 200 }, { drainMs: 300 })
  const { answer, ms } = await drip(http, head)
  expect(problemOf(answer)).toEqual([408, 'body-too-slow'])
  expect(ms).toBeLessThan(6000)
  expect((await http.store.list('shop', { limit: 9, before: null })).deployments).toEqual([])
  noInnerError(http)
})

test('a form whose file comes slowly has the time of any upload; the gateway’s own work does not use the sender’s time', async () => {
  await using http = await startHttp({
    bodyMs: 100,
    async receive(body) {
      for await (const _ of body as AsyncIterable<Buffer>);
      await wait(300)
      return { digest: 'sha256:aa', files: 1, sizeBytes: 3 }
    },
  })
  const head = upload.replace('100000', String(file.length + 30 + end.length))
  const pieces = Array<string>(30).fill('a')
  const answer = await http.raw(
    head.replace('Host: x', 'Host: x\r\nConnection: close') + file,
    ...pieces,
    end,
  )
  expect(answer).toMatch(/^HTTP\/1\.1 202 /)
})

const formats: [name: string, code: string, body: string, type?: string][] = [
  ['no boundary', 'form-invalid', `${file}tar${end}`, 'multipart/form-data'],
  ['an endless boundary', 'form-invalid', '', `multipart/form-data; boundary=${'a'.repeat(5000)}`],
  ['no end', 'form-invalid', `${file}tar`],
  ['no end of a head', 'form-invalid', '--frontier\r\nContent-Disposition: form-data; name="a"'],
  ['nothing in it', 'form-invalid', ''],
  ['a head that is none', 'form-invalid', `--frontier\r\nno head\r\n\r\nx${end}`],
  [
    'a head without end',
    'form-invalid',
    `--frontier\r\nContent-Disposition: form-data; name=a\r\nX: ${'y'.repeat(20_000)}${end}`,
  ],
  ['no name', 'request-invalid', `--frontier\r\nContent-Disposition: form-data\r\n\r\nx${end}`],
  ['no file', 'request-invalid', `${field('message')}--frontier--\r\n`],
  ['two files', 'request-invalid', `${file}tar\r\n${file}tar${end}`],
  [
    'a field named like its file',
    'option-unknown',
    `${file}tar\r\n${field('source')}--frontier--\r\n`,
  ],
  ['a long name', 'request-invalid', `${field('n'.repeat(5000))}--frontier--\r\n`],
  ['a long value', 'request-invalid', `${field('message', 'n'.repeat(600_000))}--frontier--\r\n`],
  ['too many fields', 'request-invalid', `${field('env.A').repeat(1300)}--frontier--\r\n`],
  [
    'too many fields for their size',
    'form-invalid',
    `${field('env.A', 'x'.repeat(60_000)).repeat(40)}--frontier--\r\n`,
  ],
  [
    'a name that means more',
    'option-unknown',
    `${file}tar\r\n${field('__proto__')}--frontier--\r\n`,
  ],
  [
    'a variable whose name means more',
    'option-invalid',
    `${file}tar\r\n${field('env.__proto__')}--frontier--\r\n`,
  ],
  ['fields inside fields', 'request-invalid', `${field('env[A][B]')}--frontier--\r\n`],
  [
    'an unknown charset',
    'option-unknown',
    `${file}tar\r\n--frontier\r\nContent-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=klingon\r\n\r\nx${end}`,
  ],
  [
    'a compressed body',
    'request-invalid',
    `${file}tar${end}`,
    'multipart/form-data; boundary=frontier\r\nContent-Encoding: gzip',
  ],
]
test.each(formats)(
  'a form with %s is refused as %s',
  async (_, code, body, type = 'multipart/form-data; boundary=frontier') => {
    await using http = await startHttp()
    const head = `PUT /deploy/shop?follow=false HTTP/1.1\r\n${bearer}Connection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
    const [status, found] = problemOf(await http.raw(`${head}${body}`))
    expect([found, Math.floor((status as number) / 100)]).toEqual([code, 4])
    noInnerError(http)
  },
)

const jsons: [
  name: string,
  status: number,
  body: string | Buffer,
  headers?: Record<string, string>,
][] = [
  ['deep arrays', 400, '['.repeat(1_000_000)],
  ['deep objects', 400, `${'{"env":'.repeat(40)}1${'}'.repeat(40)}`],
  ['brackets in a text', 422, JSON.stringify({ lane: '['.repeat(100) })],
  ['a key __proto__', 400, '{"__proto__":{"lane":"fifo"}}'],
  ['a key __proto__ further in', 400, '{"env":{"\\u005f_proto__":"x"}}'],
  ['letters that are no UTF-8', 400, Buffer.from([0x7b, 0xff, 0x7d])],
  [
    'another charset',
    400,
    Buffer.from('{"lane":"fifo"}', 'utf16le'),
    { 'Content-Type': 'application/json; charset=utf-16' },
  ],
  ['a compressed body', 400, '{}', { 'Content-Encoding': 'gzip' }],
  ['a NUL in a variable', 422, '{"env":{"A":"\\u0000"}}'],
  ['a NUL in a path', 422, '{"dockerfile":"a\\u0000"}'],
  [
    'too many variables',
    422,
    JSON.stringify({
      env: Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`A${n}`, ''])),
    }),
  ],
  ['too much in its variables', 422, JSON.stringify({ build: { A: 'x'.repeat(132_000) } })],
  ['a text', 400, '"x"'],
  ['nothing', 400, ''],
  ['too much', 400, `{"env":{"A":"${'x'.repeat(2 ** 20)}"}}`],
]
test.each(jsons)('settings with %s are refused with %s', async (_, status, body, headers = {}) => {
  await using http = await startHttp()
  const answer = await fetch(`${http.url}/v1/apps/shop`, {
    method: 'PATCH',
    headers: { ...authorization, ...headers },
    body,
  })
  expect(answer.status).toBe(status)
  expect(((await answer.json()) as { code: string }).code).toMatch(/^(request|option)-invalid$/)
  noInnerError(http)
})

test('a small body that breaks off is no error of ours', async () => {
  await using http = await startHttp()
  for (const [, line] of small) {
    const broken = connect(http.port, '127.0.0.1').on('error', () => {})
    broken.write(`${line}${bearer}Content-Length: 5000\r\n\r\n{"a`)
    await wait(50)
    broken.resetAndDestroy()
  }
  await expect
    .poll(() => http.logged.filter((line) => line.includes('"ended":false')).length)
    .toBe(small.length)
  noInnerError(http)
})
