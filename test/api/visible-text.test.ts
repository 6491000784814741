import { expect, test } from 'vitest'
import type { z } from 'zod'
import type { Deployment } from '#api/deployment.ts'
import { type DeploymentEvent, NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { renderEvent } from '#api/text/render-event.ts'
import { renderVerdict } from '#api/text/render-verdict.ts'
import { visible, visibleJson, visibleLines } from '#api/text/visible-text.ts'
import { hostileTexts, obeyed } from '../hostile-text.ts'

test('the judge of these tests detects what it should', () => {
  expect(obeyed('a line\n  a second one\n')).toEqual([])
  expect(obeyed('x ##[group]\n::add-mask::x\r--- y\x9b')).toEqual([
    '"\\r"',
    '"\x9b"',
    'GitHub, first form',
    'GitHub, second form',
    'Buildkite',
  ])
  for (const text of hostileTexts) expect(obeyed(text), JSON.stringify(text)).not.toEqual([])
})

test('no rendered line acts, wherever the text is in it', () => {
  for (const text of hostileTexts)
    for (const before of ['', 'x', 'x ', ' ', '   62.3s     | ', '#', ':', `\x1b[31m`, 'x\r']) {
      const shown = visible(before + text)
      const why = JSON.stringify([before, text, shown])
      expect(obeyed(`  ${shown}`), why).toEqual([])
      expect(visible(shown), why).toBe(shown)
      expect(obeyed(`tarmac: ${visibleLines(before + text)}`), why).toEqual([])
    }
})

test('no two texts act when one is rendered after the other', () => {
  for (const one of hostileTexts)
    for (const two of hostileTexts)
      expect(obeyed(`  ${visible(one + two)}`), JSON.stringify([one, two])).toEqual([])
})

test.each([
  ['std::error::Error at src/main.rs:1', 'a path of Rust'],
  ['<T as From>::error::x', 'a path behind a type'],
  ['listening on ::1 and fe80::1', 'addresses of IPv6'],
  ['li::before { content: "x" }', 'a selector'],
  ['## Heading [link](http://x) # 1', 'Markdown'],
  ['größe – 大きさ 👩‍💻 é', 'letters of all kinds'],
  ['a\tb', 'a tab'],
  ['C:\\x1b \\u{202e}', 'what looks escaped already'],
])('%s is shown unchanged: %s', (text) => expect(visible(text)).toBe(text))

test.each([
  ['\x1b[1;31mred\x1b[0m \x1b(Bplain', 'red plain'],
  ['\x1b7saved\x1b8 \x1b=keys\x1b> \x1bcnew', 'saved keys new'],
  ['spin |\b/\b-\b\\\bdone', 'spin done'],
  ['abc\b\b', 'abc'],
  ['\b\bab\bc', 'ac'],
  ['a\x07\x00\x0e\x0fb', 'ab'],
  ['\x1bP1$r\x1b\\after', 'after'],
  ['10 %\r50 %\r\r', '50 %'],
  ['a\u202eb', 'a\\u{202e}b'],
  ['a\x7f\x9b', 'a\\x7f\\x9b'],
  ['##[group]x', '\\x23#[group]x'],
  ['::error::x', '\\x3a:error::x'],
])('%j is shown as %s', (text, shown) => expect(visible(text)).toBe(shown))

/** Each kind of event, with the same text in every string. */
function eventsWith(text: string): DeploymentEvent[] {
  const filled = (schema: z.ZodType): unknown => {
    const { def } = schema as unknown as {
      def: { type: string; innerType?: z.ZodType; valueType?: z.ZodType }
    }
    if (def.type === 'string') return text
    if (def.type === 'number') return 7
    if (def.type === 'boolean') return true
    if (def.type === 'literal') return (schema as unknown as { value: unknown }).value
    if (def.type === 'enum') return (schema as unknown as { options: unknown[] }).options[0]
    if (def.type === 'optional' || def.type === 'nullable') return filled(def.innerType!)
    if (def.type === 'array') return [text]
    if (def.type === 'record') return { [text]: text }
    if (def.type === 'object')
      return Object.fromEntries(
        Object.entries((schema as z.ZodObject).shape).map(([key, value]) => [
          key,
          filled(value as z.ZodType),
        ]),
      )
    throw new Error(`no value is known here for a ${def.type}`)
  }
  return NewEvent.options.map((option) => ({
    ...(filled(option) as NewEvent),
    seq: 1,
    at: '2026-01-01T00:00:01Z',
  }))
}

test('every kind of event is safe in every format, and its JSON keeps the value', () => {
  for (const text of hostileTexts)
    for (const event of eventsWith(text)) {
      expect(obeyed(renderEvent(event, '2026-01-01T00:00:00Z')), JSON.stringify(event)).toEqual([])
      const json = visibleJson(event)
      expect(obeyed(json), json).toEqual([])
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(event)))
    }
})

test('a verdict is safe, also with a detail of several lines', () => {
  const deployment = (detail: string) =>
    ({
      id: 'd',
      app: 'a',
      state: 'build_failed',
      problem: new Problem('build-failed', detail).body(),
    }) as Deployment
  for (const text of hostileTexts)
    expect(obeyed(renderVerdict(deployment(text)).slice(1)), text).toEqual([])
  expect(renderVerdict(deployment('one\ntwo'))).toContain(
    '\nbuild_failed: a, deployment d\nThe build failed. one\n  two\nThe sender can fix it',
  )
})

test.each<[string, (text: string) => string]>([
  ['visible', visible],
  ['visibleLines', visibleLines],
  ['visibleJson', visibleJson],
])('%s takes time in proportion to its text', (_, readOnlyMounts) => {
  const parts = [
    '\r',
    '\x1b',
    '\x1b[',
    '\x1b]',
    '\x1bP',
    '\x1b(',
    '\b',
    'a\b',
    '::a ',
    '::a',
    '##',
    '##a',
    ':',
    '\u202e',
    'section_start',
    ' ',
  ]
  const cpuMs = (text: string) => {
    const before = process.cpuUsage()
    readOnlyMounts(text)
    return process.cpuUsage(before).user / 1000
  }
  for (const part of parts) {
    const text = part.repeat(200_000 / part.length)
    const most = Math.min(...[0, 1, 2].map(() => cpuMs(`${text}x`)))
    expect(most, JSON.stringify(part)).toBeLessThan(500)
  }
})
