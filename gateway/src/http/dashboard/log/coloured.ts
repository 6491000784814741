/** The colours of a terminal, as classes of a page. This file runs in browsers too. */
import { trimEnd } from '#api/text/trim-end.ts'
import { terminalText } from '#api/text/visible-text.ts'

export type Piece = { text: string; classes: string }
type Look = { text: string | null; back: string | null; bold: boolean; dim: boolean } & Lines
type Lines = { italic: boolean; underline: boolean; inverse: boolean }

const plain: Look = {
  text: null,
  back: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
}
/** No page shows more of one line. The download has all of it. */
export const maxShownChars = 4000

// oxlint-disable-next-line no-control-regex -- it matches control characters
const selectLook = /\x1b\[([\d;:]*)m/g

/**
 * One line of output, cut into pieces of one look. All text of it is what `terminalText` gives: every
 * other sequence of a terminal does nothing here. Each line begins with the plain look.
 */
export function coloured(line: string): Piece[] {
  const raw = trimEnd(line, '\r')
  // Where the cursor moves back, text is overwritten. Colours of such a line are not worth the work.
  if (!raw.includes('\x1b[') || raw.includes('\r') || raw.includes('\b'))
    return [{ text: terminalText(line), classes: '' }]

  const pieces: Piece[] = []
  let look = plain
  for (const [at, part] of raw.split(selectLook).entries())
    if (at % 2 === 1) look = changed(look, part)
    else {
      const text = terminalText(part)
      if (text !== '') pieces.push({ text, classes: classesOf(look) })
    }
  return pieces
}

const classesOf = ({ text, back, ...is }: Look): string =>
  [
    text !== null && `f${text}`,
    back !== null && `b${back}`,
    ...Object.entries(is).map(([name, isSet]) => isSet && name),
  ]
    .filter(Boolean)
    .join(' ')

/** The look after the codes of one sequence, as ECMA-48 and xterm have them. */
function changed(before: Look, sequence: string): Look {
  const codes = sequence.split(/[;:]/).map(Number)
  let look = before
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!
    if (code === 38 || code === 48) {
      const { colour, used } = extended(codes.slice(at + 1, at + 5))
      look = withColour(look, code, colour)
      at += used
    } else look = withCode(look, code)
  }
  return look
}

const withColour = (look: Look, code: number, colour: string | null): Look =>
  code === 38 ? { ...look, text: colour } : { ...look, back: colour }

function withCode(look: Look, code: number): Look {
  if (code === 0) return plain
  if (code === 22) return { ...look, bold: false, dim: false }
  const [name, isSet] = switches[code] ?? []
  if (name !== undefined) return { ...look, [name]: isSet }
  if (code === 39) return { ...look, text: null }
  if (code === 49) return { ...look, back: null }
  const [tens, ones] = [Math.floor(code / 10), code % 10]
  if (ones > 7) return look
  if (tens === 3 || tens === 9) return { ...look, text: String(ones + (tens === 9 ? 8 : 0)) }
  if (tens === 4 || tens === 10) return { ...look, back: String(ones + (tens === 10 ? 8 : 0)) }
  return look
}

const switches: Record<number, [keyof Look, boolean]> = {
  1: ['bold', true],
  2: ['dim', true],
  3: ['italic', true],
  4: ['underline', true],
  7: ['inverse', true],
  23: ['italic', false],
  24: ['underline', false],
  27: ['inverse', false],
}

/** What follows 38 or 48: `5;n`, or `2;r;g;b`. The nearest of the 16 colours, and the codes used. */
function extended([kind, ...values]: number[]): { colour: string | null; used: number } {
  if (kind === 2) return { colour: nearest(values), used: 4 }
  if (kind !== 5) return { colour: null, used: 1 }
  const [at = 0] = values
  if (at < 16) return { colour: String(at), used: 2 }
  if (at >= 232) return { colour: nearest([8 + 10 * (at - 232)]), used: 2 }
  const cube = [Math.floor((at - 16) / 36), Math.floor((at - 16) / 6) % 6, (at - 16) % 6]
  return { colour: nearest(cube.map((step) => 51 * step)), used: 2 }
}

function nearest([red = 0, green = red, blue = red]: number[]): string {
  const most = Math.max(red, green, blue)
  if (most < 64) return '0'
  const bit = (value: number) => (value > most / 2 ? 1 : 0)
  return String(bit(red) + 2 * bit(green) + 4 * bit(blue) + (most > 190 ? 8 : 0))
}
