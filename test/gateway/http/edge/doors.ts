import { connect, type Socket } from 'node:net'
import { file, tar } from '../../../archives.ts'
import { fileOf, manifestOf, packOf, sha256 } from '../../sources/sent-trees.ts'
import { formOf } from '../fuzz/requests.ts'
import { token } from '../start-http.ts'
import { forShop, made, octets } from '../uploads/tus-calls.ts'

type Gateway = { url: string; port: number }

/**
 * Where bytes of a source come in. `head`: its request line and headers, without those of the body.
 * `long`: the first 8 MB of a body that is right so far.
 */
export type Door = {
  name: string
  head: (gateway: Gateway) => Promise<string>
  body: Buffer
  long: Buffer
}

export const bearer = `Host: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n`
const post =
  (path: string, more = '') =>
  async () =>
    `POST ${path} HTTP/1.1\r\n${bearer}${more}`

const archive = tar(file('index.html', 'hello'.repeat(200_000)))
const long = 'x'.repeat(8_000_000)
const longArchive = file('index.html', long)
const partHead = '--frontier\r\nContent-Disposition: form-data; name="source"; filename="x"\r\n\r\n'
const formType = 'Content-Type: multipart/form-data; boundary=frontier\r\n'
const manyFiles = Array.from({ length: 5000 }, (_, at) => fileOf(`file-${at}`, String(at)))
const tusHeaders = `Tus-Resumable: 1.0.0\r\nContent-Type: ${octets}\r\n`
const uploadLength = archive.length

/** Every door that takes bytes of a source, each with a right body of about 1 MB. */
export const doors: Door[] = [
  {
    name: 'an archive as the body',
    head: async () => `PUT /deploy/shop?follow=false HTTP/1.1\r\n${bearer}`,
    body: archive,
    long: longArchive,
  },
  {
    name: 'an archive in a form',
    head: post('/v1/apps/shop/deployments', formType),
    body: formOf({ source: archive, deploy: 'false' }),
    long: Buffer.concat([Buffer.from(partHead), longArchive]),
  },
  {
    name: 'the list of a tree',
    head: post('/v1/apps/shop/trees'),
    body: Buffer.from(JSON.stringify(manifestOf(manyFiles))),
    long: Buffer.from(`{"digest":"${long}`),
  },
  {
    name: 'a pack',
    head: post('/v1/apps/shop/packs'),
    body: packOf('x'.repeat(1_000_000)),
    long: file(sha256(long), long),
  },
  {
    name: 'the beginning of a resumable upload',
    head: post(
      '/v1/uploads',
      `${tusHeaders}Upload-Length: ${uploadLength}\r\nUpload-Metadata: ${forShop}\r\n`,
    ),
    body: archive,
    long: longArchive,
  },
  {
    name: 'a part of a resumable upload',
    async head({ url }) {
      const path = await made(url, uploadLength)
      return `PATCH ${path} HTTP/1.1\r\n${bearer}${tusHeaders}Upload-Offset: 0\r\n`
    },
    body: archive,
    long: longArchive,
  },
]

export const chunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
export const lastChunk = Buffer.from('0\r\n\r\n')

/** What came over the line: the statuses, the last of them, the problem, and all of it. */
export type Answer = { statuses: number[]; status: number; code: string | undefined; text: string }

export function readAnswer(text: string): Answer {
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  return {
    statuses,
    status: statuses.at(-1) ?? 0,
    code: /"code":"([a-z-]+)"/.exec(text)?.[1],
    text,
  }
}

/** Sends a head that asks first, and waits until the gateway asks for the body. */
export async function begin(gateway: Gateway, head: string, bytes: number) {
  const line = openLine(gateway)
  line.write(`${head}Expect: 100-continue\r\nContent-Length: ${bytes}\r\n\r\n`)
  const asked = new Promise((resolve) => line.once('data', resolve))
  await Promise.race([asked, line.answer])
  return line
}

/** An open line. `answer` resolves when the gateway has closed it, or the test has. */
export function openLine({ port }: Gateway): Socket & { answer: Promise<Answer> } {
  const line = connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => {})
  let text = ''
  line.on('data', (data: Buffer) => {
    text += data.toString('latin1')
    // A sender that has its answer hangs up. The gateway would wait a while for the rest of a body.
    if (text.includes('\r\nConnection: close\r\n')) line.end()
  })
  const answer = new Promise<Answer>((resolve) =>
    line.once('close', () => resolve(readAnswer(text))),
  )
  return Object.assign(line, { answer })
}

/** Sends these bytes at once, and returns what is answered until the gateway closes the line. */
export function send(gateway: Gateway, ...pieces: (string | Buffer)[]): Promise<Answer> {
  const line = openLine(gateway)
  for (const piece of pieces) line.write(piece)
  return line.answer
}
