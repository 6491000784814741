import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { wrongUse } from '../option.ts'
import { askHidden } from '../runtime/prompt.ts'
import type { Inputs } from '../runtime/read-values.ts'
import type { PasswordSource } from './read-registries.ts'

const noTerminal =
  'There is no terminal to ask for the password. Give it on standard input with --password-stdin, or in a file with --file FILE.'

/** Reads a password from a file, from standard input, or from the terminal without showing it. */
export async function readPassword(
  { file, stdin }: PasswordSource,
  whose: string,
  inputs: Inputs,
): Promise<string> {
  const text =
    stdin || file === '-'
      ? await ofStdin(inputs)
      : file === null
        ? await askHidden(`${whose} (not shown): `, noTerminal, inputs)
        : ofFile(file, inputs)
  // Programs end their output with a line end, which is rarely a part of a password.
  const password = text.replace(/\r?\n$/, '')
  if (password === '') throw wrongUse('The password is empty.')
  return password
}

function ofStdin({ input, stdin }: Inputs): Promise<string> {
  if (input.isTTY)
    throw wrongUse('Standard input is a terminal. Leave the option out, to be asked.')
  return stdin()
}

function ofFile(file: string, { read }: Inputs): string {
  try {
    return read(file)
  } catch (error) {
    throw new Problem('option-invalid', `The file ${file} cannot be read: ${errorMessage(error)}.`)
  }
}
