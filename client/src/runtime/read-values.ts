import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { wrongUse } from '../option.ts'
import { readDotenv } from './dotenv.ts'
import { askSecret, type Terminal } from './prompt.ts'

/** Where values come from, beside the command line. */
export type Inputs = Terminal & { stdin: () => Promise<string>; read: (path: string) => string }

export const processInputs: Inputs = {
  input: process.stdin,
  output: process.stderr,
  stdin: () => text(process.stdin),
  read: (path) => readFileSync(path, 'utf8'),
}

type Given = { args: string[]; file: string | null; mayAsk: boolean }

/**
 * Reads values by name: of a `.env` file, and of `NAME=VALUE`, `NAME=-` (standard input) and `NAME`
 * (asked for), which replace those of the file. Nothing is sent before all are read.
 */
export async function readValues(
  { args, file, mayAsk }: Given,
  inputs: Inputs,
): Promise<Map<string, string>> {
  const values = file === null ? new Map<string, string>() : await ofFile(file, inputs)
  const names = args.map((each) => each.split('=', 1)[0]!)
  const twice = names.find((name, at) => names.indexOf(name) < at)
  if (twice !== undefined) throw wrongUse(`${twice} is given twice; give it once.`)
  const fromStdin = [...args.filter((each) => each.endsWith('=-')), ...(file === '-' ? ['-'] : [])]
  if (fromStdin.length > 1) throw wrongUse('Standard input can be the value of one name only.')
  if (args.length === 0 && values.size === 0)
    throw wrongUse(file === null ? 'Name at least one: NAME=VALUE.' : `${file} has no values.`)

  for (const [at, name] of names.entries()) {
    const given = args[at]!.slice(name.length)
    if (given === '' && !mayAsk) throw wrongUse(`${name} has no value: give ${name}=VALUE.`)
    values.set(name, await valueOf(name, given, inputs))
  }
  return values
}

async function valueOf(name: string, given: string, inputs: Inputs): Promise<string> {
  if (given === '') return askSecret(name, inputs)
  if (given !== '=-') return given.slice(1)
  if (inputs.input.isTTY)
    throw wrongUse(`${name}=- reads standard input, which is a terminal. Give ${name} to be asked.`)
  // Programs end their output with a line end, which is rarely a part of the value.
  return (await inputs.stdin()).replace(/\r?\n$/, '')
}

async function ofFile(file: string, { stdin, read }: Inputs): Promise<Map<string, string>> {
  if (file === '-') return readDotenv(await stdin(), 'standard input')
  let content: string
  try {
    content = read(file)
  } catch (error) {
    throw new Problem('option-invalid', `The file ${file} cannot be read: ${errorMessage(error)}.`)
  }
  return readDotenv(content, file)
}
