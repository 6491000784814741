import { Problem } from '#api/problem.ts'
import { appName, gatewayUrl } from '../option.ts'
import { type FlyParts, openFly } from '../up/fly-parts.ts'
import {
  damagedFile,
  knownBuilders,
  readSideFile,
  type SideFile,
  sideFolder,
  sidePath,
} from '../up/side-file.ts'

type Env = Record<string, string | undefined>
type Given = {
  app?: string | undefined
  gateway?: string | undefined
  token?: string | undefined
}

export type FlyCalls = Pick<FlyParts, 'machines' | 'builder'>

/** What this computer knows of a builder. */
export type Builder = {
  /** Its app on Fly. Null: only its address is known. */
  app: string | null
  gateway: URL | null
  token: string
  /** The file that `tarmac up` has made. Null: there is none for it here. */
  sideFile: string | null
  /** Null: there is no token of Fly here. */
  fly: FlyCalls | null
}

/**
 * The builder that a command is about: by its options, then the environment, then the only file of
 * `tarmac up`, or the one that `--app` names.
 */
export function findBuilder(given: Given, env: Env): Builder {
  if (given.app !== undefined) appName(given.app)
  const address = given.gateway ?? env['TARMAC_GATEWAY']
  const app = given.app ?? (address ? null : onlyBuilder(env))

  const path = app === null ? null : sidePath(env, app)
  const side: SideFile | null = path === null ? null : readSideFile(path)
  if (side && path && !side.TARMAC_GATEWAY && !address) throw damagedFile(path)
  const gateway = address ?? side?.TARMAC_GATEWAY
  // The token of the file is only for the gateway of that file.
  const own = address && address !== side?.TARMAC_GATEWAY ? '' : side?.TARMAC_TOKEN
  const token = (env['FLY_ACCESS_TOKEN'] ?? env['FLY_API_TOKEN'] ?? '').trim()

  const whole = { report: () => {}, signal: new AbortController().signal }
  return {
    app,
    gateway: gateway ? gatewayUrl(gateway) : null,
    token: (given.token ?? env['TARMAC_TOKEN'] ?? own ?? '').trim(),
    sideFile: side && path,
    fly: token ? openFly({ env, token }, whole) : null,
  }
}

function onlyBuilder(env: Env): string {
  const [app, ...more] = knownBuilders(env)
  if (app !== undefined && more.length === 0) return app
  const folder = sideFolder(env)
  throw new Problem(
    'option-invalid',
    app === undefined
      ? `This computer knows no builder: ${folder} has no file of one. Give --app NAME, or set TARMAC_GATEWAY and TARMAC_TOKEN. To make a builder: tarmac up.`
      : `Name the builder with --app: ${folder} knows ${[app, ...more].join(', ')}.`,
  )
}
