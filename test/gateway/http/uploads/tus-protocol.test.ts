import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { authorization, startHttp } from '../start-http.ts'
import { forShop, made, octets, offsetOf, patch, tus } from './tus-calls.ts'

// Every MUST of tus 1.0.0 for a server, of its core and of the five extensions that the gateway has.
// https://tus.io/protocols/resumable-upload

let http: Awaited<ReturnType<typeof startHttp>>
let url: string
beforeAll(async () => {
  http = await startHttp({ maxUploadBytes: 1000, uploadLimits: { perCaller: 1000 } })
  url = http.url
})
afterAll(() => http[Symbol.asyncDispose]())

const kept = () => readdir(join(http.dir, 'uploads'))
const digest = (algorithm: string, body: string) =>
  `${algorithm} ${createHash(algorithm).update(body).digest('base64')}`

describe('core: headers', () => {
  test.each(['-1', '1.5', 'abc', '+1', '', ' ', '0x5', '1e2', '99999999999999999999'])(
    'Upload-Offset is a non-negative integer, and not %j',
    async (at) => {
      const path = await made(url, 5)
      const { status, problem } = await patch(url, path, { at, body: 'a' })
      expect([status, problem!.code]).toEqual([400, 'request-invalid'])
      expect(await offsetOf(url, path)).toBe('0')
    },
  )

  test.each(['-1', '1.5', 'abc', '', '0x5'])(
    'Upload-Length is a non-negative integer, and not %j',
    async (length) => {
      const headers = { 'Upload-Length': length, 'Upload-Metadata': forShop }
      const { status, problem } = await tus(url, 'POST', headers)
      expect([status, problem!.code]).toEqual([400, 'request-invalid'])
    },
  )

  test('OPTIONS says versions, extensions, the largest size and the checksums', async () => {
    for (const version of ['1.0.0', '0.2.2']) {
      const answer = await tus(url, 'OPTIONS', { 'Tus-Resumable': version })
      expect(answer.status).toBe(204)
      expect(answer.get('Tus-Version')).toBe('1.0.0')
      expect(answer.get('Tus-Max-Size')).toBe('1000')
      expect(answer.get('Tus-Checksum-Algorithm')!.split(',')).toContain('sha1')
      expect(answer.get('Tus-Extension')!.split(',')).toEqual([
        'creation',
        'creation-with-upload',
        'checksum',
        'termination',
        'expiration',
      ])
    }
  })

  test('every answer has Tus-Resumable, also a refusal', async () => {
    const path = await made(url, 5)
    const answers = [
      await tus(url, 'HEAD', {}, { path }),
      await patch(url, path, { at: 0, body: 'abc' }),
      await patch(url, path, { at: 0, body: 'abc' }),
      await tus(url, 'POST'),
      await tus(url, 'GET', {}, { path }),
      await tus(url, 'HEAD', {}, { path: '0'.repeat(32) }),
      await tus(url, 'HEAD', {}, { path, token: {} }),
      await tus(url, 'HEAD', { 'Tus-Resumable': '2.0.0' }, { path }),
      await tus(url, 'DELETE', {}, { path }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([
      200, 204, 409, 400, 405, 404, 401, 412, 204,
    ])
    expect(answers.map(({ get }) => get('Tus-Resumable'))).toEqual(answers.map(() => '1.0.0'))
  })

  test.each(['2.0.0', '0.2.2', '1.0', ''])(
    'another version, %j, is refused with 412 and Tus-Version, and nothing is done',
    async (version) => {
      const path = await made(url, 5)
      const old = { 'Tus-Resumable': version }
      const answers = [
        await patch(url, path, { at: 0, body: 'abc', headers: old }),
        await tus(url, 'DELETE', old, { path }),
        await tus(url, 'POST', { ...old, 'Upload-Length': '1', 'Upload-Metadata': forShop }),
      ]
      expect(answers.map(({ status }) => status)).toEqual([412, 412, 412])
      expect(answers.map(({ get }) => get('Tus-Version'))).toEqual(['1.0.0', '1.0.0', '1.0.0'])
      expect(answers[0]!.problem).toMatchObject({ code: 'tus-version-unsupported' })
      expect(await offsetOf(url, path)).toBe('0')
    },
  )

  test('a request without a version is refused the same way', async () => {
    const answer = await fetch(`${url}/v1/uploads`, { method: 'POST', headers: authorization })
    expect([answer.status, answer.headers.get('Tus-Version')]).toEqual([412, '1.0.0'])
  })

  test('X-HTTP-Method-Override is the method of a request', async () => {
    const path = await made(url, 5)
    const as = (method: string) => ({ 'X-HTTP-Method-Override': method })
    const part = { 'Content-Type': octets, 'Upload-Offset': '0', ...as('PATCH') }
    const sent = await tus(url, 'POST', part, { path, body: 'abc' })
    expect([sent.status, sent.get('Upload-Offset')]).toEqual([204, '3'])
    const head = await tus(url, 'GET', as('HEAD'), { path })
    expect([head.status, head.get('Upload-Offset')]).toEqual([200, '3'])
    expect((await tus(url, 'DELETE', as('HEAD'), { path })).status).toBe(200)
    expect((await tus(url, 'POST', as('TRACE'), { path })).status).toBe(400)
    expect((await tus(url, 'POST', as('DELETE'), { path })).status).toBe(204)
    expect((await tus(url, 'HEAD', {}, { path })).status).toBe(404)
  })
})

describe('core: HEAD', () => {
  test('says the offset at the beginning, in the middle and at the end, and the length', async () => {
    const path = await made(url, 5)
    const offsets = [await offsetOf(url, path)]
    await patch(url, path, { at: 0, body: 'ab' })
    offsets.push(await offsetOf(url, path))
    await patch(url, path, { at: 2, body: 'cde' })
    const last = await tus(url, 'HEAD', {}, { path })
    expect([...offsets, last.get('Upload-Offset')]).toEqual(['0', '2', '5'])
    expect([last.status, last.get('Upload-Length')]).toEqual([200, '5'])
    expect(last.get('Cache-Control')).toBe('no-store')
  })

  test.each(['0'.repeat(32), 'nothing', '..%2f..%2fkey', 'A'.repeat(32), '%00'])(
    'knows no upload %s, and says no offset',
    async (id) => {
      const answer = await tus(url, 'HEAD', {}, { path: id })
      expect([answer.status, answer.get('Upload-Offset')]).toEqual([404, null])
    },
  )
})

describe('core: PATCH', () => {
  test.each(['application/octet-stream', 'text/plain', `${octets}x`])(
    'refuses the type %s with 415',
    async (type) => {
      const path = await made(url, 5)
      const answer = await patch(url, path, {
        at: 0,
        body: 'abc',
        headers: { 'Content-Type': type },
      })
      expect([answer.status, answer.problem!.code]).toEqual([415, 'media-type-unsupported'])
      expect(await offsetOf(url, path)).toBe('0')
    },
  )

  test.each([0, 2, 4, 5, 100])(
    'refuses another offset than 3, as %i, and changes nothing',
    async (at) => {
      const path = await made(url, 5)
      await patch(url, path, { at: 0, body: 'abc' })
      const answer = await patch(url, path, { at, body: 'X' })
      expect([answer.status, answer.problem]).toMatchObject([
        409,
        { code: 'upload-conflict', offset: 3, length: 5 },
      ])
      expect(await offsetOf(url, path)).toBe('3')
    },
  )

  test('answers 204 with the sum of the offset and the bytes that it took', async () => {
    const path = await made(url, 5)
    const answers = [
      await patch(url, path, { at: 0, body: 'abc' }),
      await patch(url, path, { at: 3, body: '' }),
      await patch(url, path, { at: 3, body: 'de' }),
      await patch(url, path, { at: 5, body: '' }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 204])
    expect(answers.map(({ get }) => get('Upload-Offset'))).toEqual(['3', '3', '5', '5'])
  })

  test('knows no upload that was never made', async () => {
    const answer = await patch(url, '0'.repeat(32), { at: 0, body: 'abc' })
    expect([answer.status, answer.problem!.code]).toEqual([404, 'upload-not-found'])
  })

  test('stores what arrived of a request that breaks off', async () => {
    const path = await made(url, 100)
    const head = `PATCH ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization.Authorization}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: ${octets}\r\n`
    const line = connect(http.port, '127.0.0.1').on('error', () => {})
    line.write(`${head}Content-Length: 100\r\n\r\nabcdefg`)
    const bytes = join(http.dir, 'uploads', path.split('/').at(-1)!, 'bytes')
    await expect.poll(async () => (await stat(bytes)).size).toBe(7)
    line.destroy()
    expect(await offsetOf(url, path)).toBe('7')
  })
})

describe('creation', () => {
  test('answers 201 with the address', async () => {
    const headers = { 'Upload-Length': '5', 'Upload-Metadata': forShop }
    const answer = await tus(url, 'POST', headers)
    expect([answer.status, answer.get('Location')]).toEqual([
      201,
      expect.stringMatching(/^\/v1\/uploads\/[\da-f]{32}$/),
    ])
  })

  test('HEAD says the metadata as it was sent', async () => {
    const metadata = `${forShop},filename d29ybGQ=,is_confidential,empty `
    const path = await made(url, 5, { 'Upload-Metadata': metadata })
    const head = await tus(url, 'HEAD', {}, { path })
    expect(head.get('Upload-Metadata')).toBe(metadata.trim())
  })

  test.each([
    ['a key twice', `${forShop},app c2hvcA==`],
    ['an empty key', `${forShop}, c2hvcA==`],
    ['a value that is no base64', `${forShop},name sh-op!`],
    ['a space too many', `${forShop},name  c2hvcA==`],
    ['two values', `${forShop},name c2hvcA== c2hvcA==`],
    ['nothing between commas', `${forShop},,name c2hvcA==`],
    ['no app', 'filename c2hvcA=='],
  ])('refuses metadata with %s', async (_, metadata) => {
    const headers = { 'Upload-Length': '5', 'Upload-Metadata': metadata }
    const { status, problem } = await tus(url, 'POST', headers)
    expect([status, problem!.code]).toEqual([400, 'request-invalid'])
  })

  test('refuses an app name that is none', async () => {
    const metadata = `app ${Buffer.from('No/Name').toString('base64')}`
    const headers = { 'Upload-Length': '5', 'Upload-Metadata': metadata }
    expect((await tus(url, 'POST', headers)).problem!.code).toBe('app-name-invalid')
  })

  test('needs the length, and takes no deferred one', async () => {
    for (const headers of [{}, { 'Upload-Defer-Length': '1' }, { 'Upload-Defer-Length': '2' }])
      expect((await tus(url, 'POST', { 'Upload-Metadata': forShop, ...headers })).status).toBe(400)
  })

  test('takes 0 bytes, which are complete at once', async () => {
    const path = await made(url, 0)
    expect(await offsetOf(url, path)).toBe('0')
    expect((await patch(url, path, { at: 0, body: '' })).status).toBe(204)
  })

  test('refuses more bytes than Tus-Max-Size with 413', async () => {
    const headers = { 'Upload-Length': '1001', 'Upload-Metadata': forShop }
    const { status, problem } = await tus(url, 'POST', headers)
    expect([status, problem!.code]).toEqual([413, 'archive-too-large'])
  })

  test('joins no uploads, which it does not announce', async () => {
    const headers = { 'Upload-Length': '1', 'Upload-Metadata': forShop, 'Upload-Concat': 'partial' }
    expect((await tus(url, 'POST', headers)).status).toBe(400)
  })
})

describe('creation with upload', () => {
  const headers = { 'Upload-Length': '5', 'Upload-Metadata': forShop }
  test.each([
    ['a part', 'abc', '3'],
    ['all', 'abcde', '5'],
  ])('takes %s with the creation, and says the offset', async (_, body, offset) => {
    const answer = await tus(url, 'POST', { ...headers, 'Content-Type': octets }, { body })
    expect([answer.status, answer.get('Upload-Offset')]).toEqual([201, offset])
    expect(await offsetOf(url, answer.get('Location')!)).toBe(offset)
  })

  test.each([
    ['another type', { 'Content-Type': 'text/plain' }, 'abc', 415],
    ['too many bytes', { 'Content-Type': octets }, 'abcdef', 413],
    [
      'a wrong checksum',
      { 'Content-Type': octets, 'Upload-Checksum': digest('sha1', 'other') },
      'abc',
      460,
    ],
  ])('makes no upload for %s', async (_, more, body, status) => {
    const before = await kept()
    const answer = await tus(url, 'POST', { ...headers, ...more }, { body })
    expect([answer.status, answer.get('Location')]).toEqual([status, null])
    expect(await kept()).toEqual(before)
  })
})

describe('expiration', () => {
  test('POST and PATCH say until when the upload is kept', async () => {
    const headers = { 'Upload-Length': '5', 'Upload-Metadata': forShop }
    const created = await tus(url, 'POST', headers)
    const sent = await patch(url, created.get('Location')!, { at: 0, body: 'abc' })
    for (const { get } of [created, sent]) {
      const expires = get('Upload-Expires')!
      expect(expires).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/)
      const leftMs = Date.parse(expires) - Date.now()
      expect(Math.abs(leftMs - 3_600_000)).toBeLessThan(60_000)
    }
  })

  test('an expired upload is no upload', async () => {
    await using short = await startHttp({ uploadLimits: { keepMs: 1 } })
    const path = await made(short.url, 5)
    await expect.poll(async () => (await tus(short.url, 'HEAD', {}, { path })).status).toBe(404)
    expect((await patch(short.url, path, { at: 0, body: 'abc' })).status).toBe(404)
    expect(await short.uploads.sweep()).toEqual({ removed: 1 })
  })
})

describe('checksum', () => {
  test.each(['sha1', 'sha256'])('takes bytes whose %s is right', async (algorithm) => {
    const path = await made(url, 5)
    const headers = { 'Upload-Checksum': digest(algorithm, 'abc') }
    const answer = await patch(url, path, { at: 0, body: 'abc', headers })
    expect([answer.status, answer.get('Upload-Offset')]).toEqual([204, '3'])
  })

  test.each(['sha1', 'sha256'])('refuses bytes whose %s is wrong with 460', async (algorithm) => {
    const path = await made(url, 5)
    await patch(url, path, { at: 0, body: 'ab' })
    const headers = { 'Upload-Checksum': digest(algorithm, 'other') }
    const answer = await patch(url, path, { at: 2, body: 'cde', headers })
    expect([answer.status, answer.problem!.code]).toEqual([460, 'upload-checksum-mismatch'])
    expect(await offsetOf(url, path)).toBe('2')
    expect((await patch(url, path, { at: 2, body: 'CDE' })).status).toBe(204)
  })

  test.each([
    ['md5 1B2M2Y8AsgTpgAmY7PhCfg==', 'digest-unsupported'],
    ['SHA1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=', 'digest-unsupported'],
    ['sha1', 'request-invalid'],
    ['sha1 short', 'request-invalid'],
    ['sha256 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=', 'request-invalid'],
    ['sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0= more', 'request-invalid'],
    ['', 'digest-unsupported'],
  ])('refuses the checksum %j with 400, and keeps nothing', async (checksum, code) => {
    const path = await made(url, 5)
    const headers = { 'Upload-Checksum': checksum }
    const answer = await patch(url, path, { at: 0, body: 'abc', headers })
    expect([answer.status, answer.problem!.code]).toEqual([400, code])
    expect(await offsetOf(url, path)).toBe('0')
  })
})

describe('termination', () => {
  test.each([0, 3, 5])('DELETE removes an upload with %i of 5 bytes', async (bytes) => {
    const path = await made(url, 5)
    await patch(url, path, { at: 0, body: 'abcde'.slice(0, bytes) })
    expect((await tus(url, 'DELETE', {}, { path })).status).toBe(204)
    expect((await tus(url, 'HEAD', {}, { path })).status).toBe(404)
    expect((await patch(url, path, { at: bytes, body: '' })).status).toBe(404)
    expect((await tus(url, 'DELETE', {}, { path })).status).toBe(404)
  })
})
