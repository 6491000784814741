import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { closeSync, fsyncSync, writeSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { errorCode } from '#api/error-code.ts'

/** What this computer knows of a builder. Only its token and its key are secret. */
export type SideFile = {
  TARMAC_GATEWAY?: string
  TARMAC_TOKEN?: string
  TARMAC_SECRETS_KEY?: string
}
const names = ['TARMAC_GATEWAY', 'TARMAC_TOKEN', 'TARMAC_SECRETS_KEY'] as const

type Env = Record<string, string | undefined>

export const sideFolder = (env: Env): string =>
  join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'tarmac')

export const sidePath = (env: Env, app: string): string => join(sideFolder(env), `${app}.env`)

/** Null: there is no such file. Throws if it cannot be read. */
export function readSideFile(path: string): SideFile | null {
  try {
    const known = Object.fromEntries(
      readFileSync(path, 'utf8')
        .split('\n')
        .flatMap((line) => {
          const [, name = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line.trim()) ?? []
          return names.some((each) => each === name) ? [[name, value]] : []
        }),
    ) as Record<string, string>
    return Object.fromEntries(names.flatMap((name) => (known[name] ? [[name, known[name]]] : [])))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/**
 * Writes the file whole or not at all, readable by its owner alone, and waits until the disk has it:
 * what it holds is nowhere else.
 */
export function writeSideFile(path: string, content: SideFile): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const lines = names.flatMap((name) => (content[name] ? [`${name}=${content[name]}\n`] : []))
  const draft = `${path}.${randomBytes(4).toString('hex')}.new`

  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, `# Made by tarmac up. Keep it: nobody else has the key.\n${lines.join('')}`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(draft, path)
}

/** Moves the file of a builder that is gone aside: its backups can be read only with its key. */
export function setSideFileAside(path: string): string | null {
  // The builder before may have had the same name, and another key.
  let kept = `${path}.removed`
  for (let number = 2; existsSync(kept); number++) kept = `${path}.removed-${number}`
  try {
    renameSync(path, kept)
    return kept
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** The apps that have a file here. */
export function knownBuilders(env: Env): string[] {
  try {
    return readdirSync(sideFolder(env))
      .filter((name) => name.endsWith('.env'))
      .map((name) => basename(name, '.env'))
      .toSorted()
  } catch {
    return []
  }
}

/** A token or key of 256 random bits. */
export const newSecret = (): string => randomBytes(32).toString('base64')

/** The same in letters that need no quoting in a URL or a shell. */
export const newToken = (): string => randomBytes(32).toString('base64url')
