import { Problem } from '#api/problem.ts'

/** What the prompt needs of a terminal: `process.stdin` and `process.stderr`. */
export type Terminal = {
  input: Pick<NodeJS.ReadStream, 'on' | 'off' | 'resume' | 'pause' | 'setRawMode'> & {
    isTTY?: boolean
  }
  output: { write: (text: string) => unknown }
}

const enter = new Set(['\r', '\n', '\u0004'])
const backspace = new Set(['\b', '\u007f'])
const interrupt = '\u0003'

/** Asks for the value of a secret, and shows none of its letters. Throws `cancelled` at Ctrl-C. */
export const askSecret = (name: string, terminal: Terminal): Promise<string> =>
  askHidden(
    `Value of ${name} (not shown): `,
    `${name} has no value, and there is no terminal to ask for it. Give ${name}=- and the value on standard input, or --file FILE.`,
    terminal,
  )

/** Asks, and shows no letter of the answer. `noTerminal`: what to do where nobody can be asked. */
export async function askHidden(
  question: string,
  noTerminal: string,
  { input, output }: Terminal,
): Promise<string> {
  if (!input.isTTY) throw new Problem('option-invalid', noTerminal)
  output.write(question)
  input.setRawMode(true)
  try {
    return await readLine(input)
  } finally {
    input.setRawMode(false)
    input.pause()
    output.write('\n')
  }
}

function readLine(input: Terminal['input']): Promise<string> {
  const letters: string[] = []
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      input.off('data', onData)
      settle()
    }
    const onData = (data: Buffer | string) => {
      for (const letter of data.toString()) {
        if (enter.has(letter)) return end(() => resolve(letters.join('')))
        if (letter === interrupt)
          return end(() => reject(new Problem('cancelled', 'Stopped. Nothing was changed.')))
        if (backspace.has(letter)) letters.pop()
        else letters.push(letter)
      }
    }
    input.on('data', onData)
    input.resume()
  })
}
