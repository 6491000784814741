import { expect, test } from 'vitest'
import { newToken } from '../../../gateway/src/callers/tokens/token-text.ts'
import { redactedLog } from '../../../gateway/src/secrets/redaction/redacted-log.ts'

test('no line of the operator’s log holds a token, whatever an error quotes, and it stays JSON', () => {
  const lines: string[] = []
  const log = redactedLog('info', { write: (line: string) => void lines.push(line) })
  const { text } = newToken()
  const key = '-----BEGIN PRIVATE KEY-----\nAb3\n-----END PRIVATE KEY-----'
  log.error({ err: new Error(`git clone https://x:${text}@host failed: ${text}`), key }, 'failed')
  log.info({ path: '/v1/status' }, 'request')
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { err: { message: 'git clone https://x:***@host failed: ***' }, key: '***', msg: 'failed' },
    { path: '/v1/status', msg: 'request' },
  ])
  expect(lines.join('')).not.toContain(text.slice(16))
})
