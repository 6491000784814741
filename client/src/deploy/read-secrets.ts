import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { maxSecretBytes, SecretName } from '#api/secret.ts'

/**
 * Reads secrets: `NAME` from the environment, `NAME=@FILE` from a file. Never from the command
 * line: process lists show it.
 */
export function readSecrets(args: string[], env: NodeJS.ProcessEnv): Map<string, string> {
  const secrets = new Map<string, string>()
  for (const each of args) {
    const [, name = each, path] = /^([^=]+)=@(.+)$/.exec(each) ?? []
    const known = SecretName.safeParse(name)
    if (!known.success)
      throw invalid(
        path === undefined
          ? `${known.error.issues[0]!.message} It is given as NAME or NAME=@FILE.`
          : known.error.issues[0]!.message,
      )
    const value = path === undefined ? env[name] : readValue(path)
    if (!value)
      throw invalid(
        `The secret ${name} has no value: set it in the environment, or give --secret ${name}=@FILE.`,
      )
    if (Buffer.byteLength(value) > maxSecretBytes)
      throw invalid(`The secret ${name} has more than ${maxSecretBytes / 1024} KiB.`)
    secrets.set(name, value)
  }
  return secrets
}

function readValue(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (isUtf8(bytes)) return bytes.toString()
  } catch (error) {
    throw invalid(`The file ${path} cannot be read: ${errorMessage(error)}.`)
  }
  throw invalid(
    `The file ${path} is not text (UTF-8); only the API keeps such a secret: PUT /v1/apps/{app}/secrets/{name}.`,
  )
}

const invalid = (detail: string) => new Problem('option-invalid', detail)
