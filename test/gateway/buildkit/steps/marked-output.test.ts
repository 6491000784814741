import { expect, test } from 'vitest'
import { MarkedOutput } from '../../../../gateway/src/buildkit/steps/marked-output.ts'

const key = '0b5c5f0e-3f3a-4f0e-9d0a-5d9e0f1c2b3a'
const mark = (words: string) => `\x1e${key} ${words};`

/** Reads the pieces of an output. Neighbouring texts of one stream are joined. */
function read(pieces: Iterable<Buffer>) {
  const output = new MarkedOutput(key)
  const parts: string[][] = []
  for (const piece of pieces)
    for (const part of output.parts(piece)) {
      if ('lost' in part) parts.push(['lost', `${part.lost.lines} ${part.lost.bytes}`])
      else if (parts.at(-1)?.[0] === part.stream) parts.at(-1)![1] += part.bytes.toString()
      else parts.push([part.stream, part.bytes.toString()])
    }
  return { parts, ended: output.ended }
}
const pieces = (text: string, size: number) =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
    Buffer.from(text.slice(at * size, (at + 1) * size)),
  )

test.for([1, 2, 7, 39, 40, 41, 1000])(
  'two streams in one are read in their order, in pieces of %i bytes',
  (size) => {
    const text = [
      mark('stdout'),
      'one\n\x1e',
      mark('stderr'),
      'warn',
      mark('stdout'),
      'two\n',
      mark('lost 12 3456'),
      'three',
      mark('stderr'),
      'the reason\n',
      mark('end'),
    ].join('')
    expect(read(pieces(text, size))).toEqual({
      parts: [
        ['stdout', 'one\n\x1e'],
        ['stderr', 'warn'],
        ['stdout', 'two\n'],
        ['lost', '12 3456'],
        ['stdout', 'three'],
        ['stderr', 'the reason\n'],
      ],
      ended: true,
    })
  },
)

test.for([
  `\x1e${key.replace('0', '1')} end;`,
  '\x1eend;',
  `\x1e${key} other words than the wrapper knows, longer than any\x1e`,
  `[tarmac ${key}: 7 lines, 900 bytes of output are not kept here]`,
])('text that only looks like a mark is text: %j', (text) => {
  const { parts, ended } = read(pieces(`before${text}${' '.repeat(60)}`, 10))
  expect(parts).toEqual([['stderr', `before${text}${' '.repeat(60)}`]])
  expect(ended).toBe(false)
})
