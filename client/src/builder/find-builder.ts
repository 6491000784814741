import { Problem } from '#api/problem.ts'
import type { JobIdentity } from '../identity/job-identity.ts'
import { appName, gatewayUrl } from '../option.ts'
import { type FlyParts, openFly } from '../up/fly-parts.ts'
import { knownBuilder } from '../up/known-gateway.ts'
import { sideFolder, sidePath } from '../up/side-file.ts'

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
  /** Of the job or machine that asks. Absent: there is a token, or no identity. */
  identity?: JobIdentity
  /** The address is a tunnel on this computer. */
  isTunnel: boolean
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
  const { app, file, gateway, token, isTunnel } = knownBuilder(given, env)
  if (app === null && gateway === null)
    throw new Problem(
      'option-invalid',
      `This computer knows no builder: ${sideFolder(env)} has no file of one. Give --app NAME, or set TARMAC_GATEWAY and TARMAC_TOKEN. To make a builder: tarmac up.`,
    )

  const flyToken = (env['FLY_ACCESS_TOKEN'] ?? env['FLY_API_TOKEN'] ?? '').trim()
  const whole = { report: () => {}, signal: new AbortController().signal }
  return {
    app,
    gateway: gateway ? gatewayUrl(gateway) : null,
    token: token.trim(),
    isTunnel,
    sideFile: file && app !== null ? sidePath(env, app) : null,
    fly: flyToken ? openFly({ env, token: flyToken }, whole) : null,
  }
}
