import { Problem } from '#api/problem.ts'
import { damagedFile, knownBuilders, readSideFile, sideFolder, sidePath } from './side-file.ts'

type Given = {
  gateway?: string | undefined
  token?: string | undefined
  app?: string | undefined
}
type Env = Record<string, string | undefined>

/**
 * The gateway to ask: by the options, or the environment, or the file that `tarmac up` has made, if
 * there is one alone or `--app` names it. A token of the file is only used for the gateway of that file.
 */
export function knownGateway(given: Given, env: Env): { gateway: string | null; token: string } {
  const named = given.gateway ?? env['TARMAC_GATEWAY']
  const token = given.token ?? env['TARMAC_TOKEN']
  if (named) return { gateway: named, token: token ?? '' }

  const apps = given.app === undefined ? knownBuilders(env) : [given.app]
  const [app] = apps
  if (apps.length > 1)
    throw new Problem(
      'option-invalid',
      `Name the builder with --app: ${sideFolder(env)} knows ${apps.join(', ')}. Or set TARMAC_GATEWAY.`,
    )
  const file = app === undefined ? null : readSideFile(sidePath(env, app))
  if (given.app !== undefined && !file)
    throw new Problem(
      'option-invalid',
      `This computer knows no builder ${given.app}: there is no ${sidePath(env, given.app)}. It is made by tarmac up. Copy it from the computer where that ran, or set TARMAC_GATEWAY and TARMAC_TOKEN.`,
    )
  if (file && !file.TARMAC_GATEWAY) throw damagedFile(sidePath(env, app!))
  return { gateway: file?.TARMAC_GATEWAY ?? null, token: token ?? file?.TARMAC_TOKEN ?? '' }
}
