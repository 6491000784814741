import { fill, routes } from '#api/routes.ts'
import { authorization } from './world.ts'
import { archiveOf } from '../hostile/archive.ts'
import type { Answer } from './line.ts'
import { octets, type Sender } from './senders.ts'

const tus = { 'tus-resumable': '1.0.0' }
const encoded = (text: string) => Buffer.from(text).toString('base64')
const forApp = (app: string) => `app ${encoded(app)}`

type Attack = (sender: Sender) => Promise<Answer | null>

/** Attacks, and the answers that are right. 0 and 503 always are: the gateway may be down. */
const attacks: Record<string, { attack: Attack; right: number[] }> = {
  'an offset beyond the upload': {
    attack: withUpload(5, { 'upload-offset': '99' }, 'abc'),
    right: [409],
  },
  'more bytes than announced': { attack: withUpload(5, {}, 'abcdefgh'), right: [413] },
  'more bytes than announced, in chunks': {
    attack: withUpload(5, { 'transfer-encoding': 'chunked' }, 'abcdefgh'),
    right: [413],
  },
  'a checksum of other bytes': {
    attack: withUpload(5, { 'upload-checksum': `sha1 ${encoded('x'.repeat(20))}` }, 'abc'),
    right: [460],
  },
  'an upload of 2^60 bytes': {
    attack: ({ line, app }) =>
      line.send({
        method: 'POST',
        path: routes.uploads,
        headers: { ...tus, 'upload-length': '999999999999999', 'upload-metadata': forApp(app) },
      }),
    right: [413],
  },
  'an id that climbs': {
    attack: ({ line }) =>
      line.send({ method: 'HEAD', path: '/v1/uploads/..%2f..%2ftarmac.db', headers: tus }),
    right: [404],
  },
  'metadata of noise': {
    attack: ({ line, random }) =>
      line.send({
        method: 'POST',
        path: routes.uploads,
        headers: {
          ...tus,
          'upload-length': '1',
          'upload-metadata': ',= '.repeat(random.upTo(2000)),
        },
      }),
    right: [400],
  },
  'a line that says nothing more': {
    async attack({ line, app }) {
      await line.hang(
        Buffer.from(
          `POST ${routes.uploads} HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization.Authorization}\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 1000000\r\nUpload-Metadata: ${forApp(app)}\r\nContent-Type: ${octets}\r\nContent-Length: 1000000\r\n\r\nabc`,
        ),
      )
      return null
    },
    right: [],
  },
  'an archive that leaves its tree': {
    attack: archive(() => archiveOf([{ path: '../../../etc/passwd', content: 'x' }])),
    right: [422],
  },
  'an archive of noise': {
    attack: archive(({ random }) =>
      Buffer.from(Array.from({ length: 5000 }, () => random.upTo(255))),
    ),
    right: [400, 415],
  },
  'an archive that ends early': {
    attack: archive(({ random }) => {
      const bytes = archiveOf([{ path: 'a', content: 'a'.repeat(100_000) }])
      return bytes.subarray(0, 513 + random.upTo(90_000))
    }),
    right: [400],
  },
  'an upload that is no archive': {
    async attack(sender) {
      const made = await create(sender, 3)
      if (typeof made !== 'string') return made
      await patch(sender, made, {}, 'abc')
      const source = { upload: made.split('/').at(-1) }
      const answer = await sender.line.json('POST', deploymentsOf(sender), { source })
      await sender.line.send({ method: 'DELETE', path: made, headers: tus })
      return answer
    },
    right: [400, 409, 415],
  },
}

/** One attack at random. Its answer must be one of those that are right. */
export async function attackOnce(sender: Sender): Promise<void> {
  const { random, ledger } = sender
  const name = random.oneOf(Object.keys(attacks))
  const { attack, right } = attacks[name]!
  const answer = await attack(sender)
  ledger.count('hostile')
  if (answer && ![0, 408, 429, 503, 507, ...right].includes(answer.status))
    ledger.fault(`${name}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

const deploymentsOf = ({ app }: Sender) => fill(routes.deployments, { app: `${app}-hostile` })

/** Its path, or why there is none. */
async function create({ line, app }: Sender, length: number): Promise<string | Answer> {
  const metadata = forApp(`${app}-hostile`)
  const headers = { ...tus, 'upload-length': String(length), 'upload-metadata': metadata }
  const answer = await line.send({ method: 'POST', path: routes.uploads, headers })
  return answer.status === 201 ? String(answer.headers['location']) : { ...answer, status: 0 }
}

const patch = ({ line }: Sender, path: string, more: Record<string, string>, text: string) => {
  const headers = { ...tus, 'content-type': octets, 'upload-offset': '0', ...more }
  return line.send({ method: 'PATCH', path, headers, body: Buffer.from(text) })
}

/** Sends a part that is wrong. Then the offset must be 0 as before. */
function withUpload(length: number, more: Record<string, string>, text: string): Attack {
  return async (sender) => {
    const path = await create(sender, length)
    if (typeof path !== 'string') return path
    const answer = await patch(sender, path, more, text)
    const head = await sender.line.send({ method: 'HEAD', path, headers: tus })
    if (head.status === 200 && head.headers['upload-offset'] !== '0' && answer.status !== 0)
      sender.ledger.fault(`a part that was refused counts: ${JSON.stringify(head.headers)}`)
    await sender.line.send({ method: 'DELETE', path, headers: tus })
    return answer
  }
}

function archive(make: (sender: Sender) => Buffer): Attack {
  return async (sender) => {
    const [bytes, path] = [make(sender), deploymentsOf(sender)]
    const answer = await sender.line.send({ method: 'POST', path, body: bytes })
    // A line of ours may have broken before the part that is wrong.
    return answer.body?.code === 'archive-truncated' ? null : answer
  }
}
