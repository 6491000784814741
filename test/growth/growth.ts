import { Problem } from '../../api/problem.ts'

/**
 * Makes an input of about this many characters, and returns the work on it. The work may throw only
 * a Problem.
 */
export type Shape = (size: number) => () => unknown
/** The inputs of a parser, by name. */
export type Shapes = Record<string, Shape>

/** The measured sizes: n, 2n, 4n. */
const sizes = [64 * 1024, 128 * 1024, 256 * 1024] as const
/** Tried first, so that exponential work is found at a size where it still ends. */
const firstSizes = [16, 32, 64, 1024, 16 * 1024]
const firstMs = 300
/** Work that takes longer at n is not tried at 4n, where quadratic work would take minutes. */
const mostMs = 1500
/**
 * Four times the input may always take this much time of the thread: it is too little to measure.
 */
const quickMs = 40
/** The ratio for four times the input: linear is 4, n log n a little more, quadratic 16. */
const maxRatio = 11
const tries = 4

/** Returns why the work grows faster than these inputs, or null. */
export async function faultOf(shape: Shape, scale = 1): Promise<string | null> {
  for (const size of firstSizes) {
    const ms = await cpuMs(shape(size))
    if (ms > firstMs) return `${size} characters take ${Math.round(ms)} ms`
    if (size < firstSizes.at(-1)! || ms < firstMs / 10) continue
    const next = await cpuMs(shape(sizes[0]))
    if (next > mostMs) return `${sizes[0]} characters take ${Math.round(next)} ms`
  }
  const least = sizes.map(() => Infinity)
  for (let attempt = 0; attempt < tries; attempt++) {
    for (let at = sizes.length - 1; at >= 0; at--) {
      const ms = await cpuMs(shape(Math.ceil(sizes[at]! * scale)))
      least[at] = Math.min(least[at]!, ms)
      if (at === sizes.length - 1 && least[at]! <= quickMs) return null
    }
    if (least[2]! <= maxRatio * least[0]!) return null
  }
  return `n, 2n, 4n (n = ${sizes[0] * scale}) take ${least.map((ms) => Math.round(ms)).join(', ')} ms`
}

/** CPU time of this thread only. Other programs and threads do not count. */
async function cpuMs(work: () => unknown): Promise<number> {
  const before = process.threadCpuUsage()
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
  }
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1000
}

/** This many characters of this text. */
export const repeated = (text: string, size: number): string =>
  text.repeat(Math.ceil(size / text.length))

/** A text for each number, `charsEach` long on average, until they have `size` characters. */
export const listed = <T = string>(size: number, charsEach: number, text: (at: number) => T): T[] =>
  Array.from({ length: Math.ceil(size / charsEach) }, (_, at) => text(at))

/** The repeated units: `a` represents letters, `0` digits, and so on. */
const units = [
  'a',
  '0',
  ' ',
  '\t',
  '\r',
  '\n',
  '/',
  '.',
  './',
  '../',
  'a/',
  '-',
  '_',
  ':',
  ',',
  '=',
  '#',
  '*',
  '?',
  '[',
  '{',
]
const moreUnits = [
  '"',
  "'",
  '\\',
  '\u001b[',
  '\u001b]',
  '\0',
  'é',
  '\u0301',
  '💩',
  '1.',
  '1s',
  '!',
  '@',
]

/** Texts that are hostile to many matchers: one unit repeated, and then something else. */
export function hostileTexts(
  run: (text: string) => unknown,
  frame = (text: string) => text,
): Shapes {
  const ends = ['', '!\n']
  const shapes: Shapes = {}
  for (const unit of [...units, ...moreUnits])
    for (const end of ends) {
      const name = JSON.stringify(`${unit}${unit}…${end}`)
      shapes[name] = (size) => {
        const text = frame(repeated(unit, size) + end)
        return () => run(text)
      }
    }
  return shapes
}
