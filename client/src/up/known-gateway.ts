import { Problem } from '#api/problem.ts'
import { knownBuilders, readSideFile, sideFolder, type SideFile, sidePath } from './side-file.ts'

type Given = {
  gateway?: string | undefined
  token?: string | undefined
  app?: string | undefined
}
type Env = Record<string, string | undefined>

/** What options, environment and the files of `tarmac up` say of a builder. */
export type KnownBuilder = {
  /** Null: only its address is known, or nothing. */
  app: string | null
  file: SideFile | null
  gateway: string | null
  token: string
  /** The address is one of this computer, and the builder's is another. */
  isTunnel: boolean
}

/**
 * The builder to ask: by the options, or the environment, or the file that `tarmac up` has made, if
 * there is one alone or `--app` names it. An address of this computer may be a tunnel to the builder
 * of that file (`fly proxy`). To any other address the token of the file does not go.
 */
export function knownBuilder(given: Given, env: Env): KnownBuilder {
  const address = given.gateway ?? env['TARMAC_GATEWAY']
  const app = given.app ?? (address ? builderAt(address, env) : onlyBuilder(env))
  const file = app === null ? null : readSideFile(sidePath(env, app))
  const isOwn = !address || address === file?.TARMAC_GATEWAY
  const isTunnel = !isOwn && app !== null && isHere(address)
  const own = isOwn || isTunnel ? file?.TARMAC_TOKEN : undefined
  return {
    app,
    file,
    gateway: address || (file?.TARMAC_GATEWAY ?? null),
    token: given.token ?? env['TARMAC_TOKEN'] ?? own ?? '',
    isTunnel,
  }
}

/** The gateway of a command that asks it. */
export function knownGateway(given: Given, env: Env): Pick<KnownBuilder, 'gateway' | 'token'> {
  const { gateway, token } = knownBuilder(given, env)
  if (given.app !== undefined && gateway === null)
    throw new Problem(
      'option-invalid',
      `This computer knows no builder ${given.app}: there is no ${sidePath(env, given.app)}. It is made by tarmac up. Copy it from the computer where that ran, or set TARMAC_GATEWAY and TARMAC_TOKEN. The app to deploy is named without an option: tarmac deploy APP.`,
    )
  return { gateway, token }
}

/** Whether an address is one of this computer. */
const isHere = (address: string): boolean =>
  URL.canParse(address) &&
  /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(address).hostname)

function builderAt(address: string, env: Env): string | null {
  const apps = knownBuilders(env)
  const named = apps.find((app) => readSideFile(sidePath(env, app))?.TARMAC_GATEWAY === address)
  const [only, ...more] = apps
  return named ?? (isHere(address) && only && more.length === 0 ? only : null)
}

function onlyBuilder(env: Env): string | null {
  const [app, ...more] = knownBuilders(env)
  if (app === undefined || more.length === 0) return app ?? null
  throw new Problem(
    'option-invalid',
    `Name the builder with --app: ${sideFolder(env)} knows ${[app, ...more].join(', ')}. Or set TARMAC_GATEWAY.`,
  )
}
