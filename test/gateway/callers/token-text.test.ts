import { expect, test } from 'vitest'
import { tokenIdIn, tokenPattern } from '../../../api/callers/token.ts'
import { newToken, readToken } from '../../../gateway/src/callers/tokens/token-text.ts'

test('a token is one word that scanners find, with its id, a secret and a checksum', () => {
  for (let n = 0; n < 200; n++) {
    const { id, text, hash } = newToken()
    expect(text).toMatch(/^tmc_[0-9A-Za-z]{61}$/)
    expect(tokenPattern.exec(`export T=${text};`)?.[0]).toBe(text)
    expect(readToken(text)).toEqual({ id, hash })
    expect(tokenIdIn(text)).toBe(id)
  }
})

test('no two tokens share an id or a secret, also not for one id', () => {
  const made = Array.from({ length: 1000 }, () => newToken('Ab3456789012'))
  expect(new Set(made.map(({ text }) => text)).size).toBe(1000)
  expect(new Set(Array.from({ length: 1000 }, () => newToken().id)).size).toBe(1000)
})

test('a token that is cut, longer or mistyped is known as damaged, without a look at any secret', () => {
  const { text } = newToken()
  const other = (at: number) =>
    text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
  const wrong = [text.slice(0, -1), `${text}x`, `${text} `, 'tmc_', ...[4, 20, 60, 64].map(other)]
  for (const one of wrong) expect([one, readToken(one)]).toEqual([one, 'damaged'])
  for (const one of ['', 'a-token-of-the-setting', text.slice(1), `x${text}`])
    expect([one, readToken(one)]).toEqual([one, null])
})
