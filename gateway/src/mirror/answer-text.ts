import type { IncomingMessage } from 'node:http'

const maxBytes = 16 * 1024
const maxLetters = 200
const readMs = 1000

/**
 * What an answer says, as one short line without the gateway's login, which the mirror might repeat.
 * Empty if the answer is too long, or comes too slowly.
 */
export async function answerText(answer: IncomingMessage, authorization: string): Promise<string> {
  const timer = setTimeout(() => answer.destroy(), readMs)
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > maxBytes) return ''
    }
  } catch {
    return ''
  } finally {
    clearTimeout(timer)
  }
  const line = Buffer.concat(chunks).toString().replaceAll(/\s+/g, ' ').trim()
  return withoutLogin(line, authorization).slice(0, maxLetters)
}

function withoutLogin(text: string, authorization: string): string {
  const [, basic = ''] = authorization.split(' ')
  const [, ...password] = Buffer.from(basic, 'base64').toString().split(':')
  const secrets = [basic, password.join(':')].filter(Boolean)
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
}
