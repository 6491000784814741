import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { type Inputs, readValues } from '../../../client/src/runtime/read-values.ts'

/** A terminal on which somebody types `typed`, and files. */
type Given = { typed?: string; stdin?: string; files?: Record<string, string> }
function inputs({ typed, stdin = '', files = {} }: Given = {}): Inputs & {
  shown: string[]
  raw: boolean[]
} {
  const shown: string[] = []
  const raw: boolean[] = []
  const events = new EventEmitter()
  const input = Object.assign(events, {
    isTTY: typed !== undefined,
    setRawMode: (isRaw: boolean) => void raw.push(isRaw),
    pause: () => {},
    resume: () => void setImmediate(() => events.emit('data', Buffer.from(typed ?? ''))),
  }) as unknown as Inputs['input']
  return {
    shown,
    raw,
    input,
    output: { write: (text) => shown.push(text) },
    stdin: async () => stdin,
    read: (path) => {
      if (files[path] === undefined) throw new Error('no such file')
      return files[path]
    },
  }
}
const read = async (args: string[], from = inputs(), file: string | null = null, mayAsk = true) =>
  Object.fromEntries(await readValues({ args, file, mayAsk }, from))

test('values come from the command line, standard input, a file and a prompt', async () => {
  expect(await read(['A=1', 'B=a=b', 'C='])).toEqual({ A: '1', B: 'a=b', C: '' })
  expect(await read(['A=-'], inputs({ stdin: 'two\nlines\n' }))).toEqual({ A: 'two\nlines' })
  const files = { '.env': 'A=of the file\nB=2' }
  expect(await read(['A=own'], inputs({ files }), '.env')).toEqual({ A: 'own', B: '2' })
  expect(await read([], inputs({ stdin: 'A=1' }), '-')).toEqual({ A: '1' })
})

test('the prompt shows no letter, corrects typing, and gives the terminal back', async () => {
  const terminal = inputs({ typed: 'hushx\u007f!\r' })
  expect(await read(['A'], terminal)).toEqual({ A: 'hush!' })
  expect(terminal.shown.join('')).toBe('Value of A (not shown): \n')
  expect(terminal.raw).toEqual([true, false])
})

test('Ctrl-C at the prompt ends the command, and gives the terminal back', async () => {
  const terminal = inputs({ typed: 'hu\u0003sh\r' })
  await expect(read(['A'], terminal)).rejects.toMatchObject({ code: 'cancelled' })
  expect(terminal.raw).toEqual([true, false])
})

test('what cannot be read is refused before anything is sent', async () => {
  await expect(read(['A'])).rejects.toThrow('there is no terminal')
  await expect(read(['A'], inputs(), null, false)).rejects.toThrow('give A=VALUE')
  await expect(read(['A=1', 'A=2'])).rejects.toThrow('A is given twice')
  await expect(read(['A=-', 'B=-'])).rejects.toThrow('one name only')
  await expect(read(['A=-'], inputs(), '-')).rejects.toThrow('one name only')
  await expect(read(['A=-'], inputs({ typed: '' }))).rejects.toThrow('which is a terminal')
  await expect(read([])).rejects.toThrow('Name at least one')
  await expect(read([], inputs(), 'gone.env')).rejects.toThrow('The file gone.env cannot be read')
  await expect(read([], inputs({ files: { e: '# nothing' } }), 'e')).rejects.toThrow(
    'e has no values',
  )
})
