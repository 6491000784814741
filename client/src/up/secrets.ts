import { createHash } from 'node:crypto'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { MachineRef } from '#fly/machine.ts'
import { parsed } from './builder/ask-inside.ts'
import type { FlyParts } from './fly-parts.ts'
import {
  newSecret,
  newToken,
  readSideFile,
  type SideFile,
  sidePath,
  writeSideFile,
} from './side-file.ts'

type Keeper = {
  env: Record<string, string | undefined>
  /** The organisation token that the builder works with. */
  flyToken: string
  report: (text: string) => void
}

/**
 * The program that says, inside the machine, which secrets its gateway has: their digests, which say
 * nothing else about random values.
 */
const digestScript = `const { createHash } = require('node:crypto')
const of = (text) => createHash('sha256').update(text.trim()).digest('hex')
const { TARMAC_TOKENS: tokens = '', TARMAC_SECRETS_KEY: key = '' } = process.env
console.log(JSON.stringify([...tokens.split(',').map(of), of(key)]))`

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Whether the machine works with the token and the key of this file. Null: nobody can say it. */
export async function areOfMachine(
  { builder, signal }: FlyParts,
  ref: MachineRef,
  { TARMAC_TOKEN, TARMAC_SECRETS_KEY }: SideFile,
): Promise<boolean | null> {
  const run = { command: ['node', '-e', digestScript], seconds: 15 }
  const said = await builder.exec(ref, run, signal).catch((error: unknown) => {
    signal.throwIfAborted()
    return error instanceof Problem ? null : Promise.reject(error)
  })
  const known: unknown = parsed(said?.stdout ?? '')
  if (!Array.isArray(known)) return null
  const own = [TARMAC_TOKEN, TARMAC_SECRETS_KEY].flatMap((text) => text || [])
  return own.every((text) => known.includes(digestOf(text)))
}

export const gatewayOf = (app: string): string => `http://${app}.flycast`

/** Notices another token: Fly never shows a secret. It is no secret itself. */
export const markOf = (token: string): string => digestOf(`tarmac ${token}`).slice(0, 16)

/**
 * Gives the values of an app's secrets. A token or key that is new is in the user's file before it
 * is returned: so no crash loses one that Fly has.
 */
export const secretsOf =
  ({ env, flyToken, report }: Keeper) =>
  (app: string, names: string[]): Record<string, string> => {
    const path = sidePath(env, app)
    const known = readSideFile(path) ?? {}
    const has = (name: string) => names.includes(name)
    const token = known.TARMAC_TOKEN ?? (has('TARMAC_TOKENS') ? newToken() : undefined)
    const key = known.TARMAC_SECRETS_KEY ?? (has('TARMAC_SECRETS_KEY') ? newSecret() : undefined)

    const isNew = token !== known.TARMAC_TOKEN || key !== known.TARMAC_SECRETS_KEY
    if (isNew) {
      keep(path, {
        TARMAC_GATEWAY: gatewayOf(app),
        ...(token && { TARMAC_TOKEN: token }),
        ...(key && { TARMAC_SECRETS_KEY: key }),
      })
      report(`secrets: kept in ${path}, which only you can read`)
    }
    const values: Record<string, string | undefined> = {
      TARMAC_TOKENS: token,
      TARMAC_SECRETS_KEY: key,
      TARMAC_FLY_TOKEN: flyToken,
    }
    return Object.fromEntries(names.flatMap((name) => (values[name] ? [[name, values[name]]] : [])))
  }

function keep(path: string, content: Parameters<typeof writeSideFile>[1]): void {
  try {
    writeSideFile(path, content)
  } catch (cause) {
    throw new Problem(
      'option-invalid',
      `The secrets of the builder cannot be kept in ${path}: ${errorMessage(cause)}. Nothing was sent to Fly. Make the folder writable, or set XDG_CONFIG_HOME to another one.`,
      { cause },
    )
  }
}
