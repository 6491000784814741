import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import type { FlyAccess } from './fly-machines.ts'

type Env = Record<string, string | undefined>
type Given = {
  app?: string | undefined
  gateway?: string | undefined
  token?: string | undefined
}

/** What this computer knows of a builder. */
export type Builder = {
  /** Its app on Fly. Null: only its address is known. */
  app: string | null
  gateway: URL | null
  token: string
  /** The file that `tarmac up` has made. Null: there is none for it here. */
  sideFile: string | null
  /** Null: there is no token of Fly here. */
  fly: FlyAccess | null
}

/**
 * The builder that a command is about: by its options, then the environment, then the only file of
 * `tarmac up`, or the one that `--app` names.
 */
export function findBuilder(given: Given, env: Env): Builder {
  if (given.app !== undefined && !AppName.safeParse(given.app).success)
    throw new Problem('app-name-invalid', appNameRule)
  const folder = join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'tarmac')
  const address = given.gateway ?? env['TARMAC_GATEWAY']
  const app = given.app ?? (address ? null : onlyBuilder(folder))

  const path = app === null ? null : join(folder, `${app}.env`)
  const sideFile = path !== null && existsSync(path) ? path : null
  const side = sideFile === null ? {} : readSideFile(sideFile)
  const gateway = address ?? side['TARMAC_GATEWAY']
  // The token of the file is only for the gateway of that file.
  const own = address && address !== side['TARMAC_GATEWAY'] ? '' : side['TARMAC_TOKEN']
  const flyToken = (env['FLY_ACCESS_TOKEN'] ?? env['FLY_API_TOKEN'] ?? '').trim()
  const baseUrl = env['FLY_FLAPS_BASE_URL'] || 'https://api.machines.dev'

  return {
    app,
    gateway: gateway ? asUrl(gateway) : null,
    token: (given.token ?? env['TARMAC_TOKEN'] ?? own ?? '').trim(),
    sideFile,
    fly: flyToken ? { baseUrl, token: flyToken } : null,
  }
}

function onlyBuilder(folder: string): string {
  const apps = existsSync(folder)
    ? readdirSync(folder).flatMap((name) => (name.endsWith('.env') ? [basename(name, '.env')] : []))
    : []
  if (apps.length === 1) return apps[0]!
  throw new Problem(
    'option-invalid',
    apps.length > 1
      ? `Name the builder with --app: ${folder} knows ${apps.toSorted().join(', ')}.`
      : `This computer knows no builder: ${folder} is empty. Give --app NAME, or set TARMAC_GATEWAY and TARMAC_TOKEN. To make a builder: tarmac up.`,
  )
}

function readSideFile(path: string): Record<string, string> {
  const lines = readFileSync(path, 'utf8').split('\n')
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, name, value] = /^\s*(TARMAC_\w+)=(.*?)\s*$/.exec(line) ?? []
      return name && value ? [[name, value]] : []
    }),
  )
}

function asUrl(address: string): URL {
  if (URL.canParse(address) && /^https?:/.test(address)) return new URL(address)
  throw new Problem(
    'option-invalid',
    `The gateway's address is like http://tarmac:8080, not ${address}.`,
  )
}
