import { OwnerName } from '#api/app.ts'
import { parseReference, referenceText } from '#api/image/reference.ts'
import type { ImageSource } from '#api/image-source.ts'
import { type DeploymentOptions, readOptions } from '#api/options.ts'
import type { Connection } from '../connection.ts'
import { startOf } from '../deploy/ci-system.ts'
import { machineOptions } from '../deploy/read-deploy.ts'
import type { Values } from '../flags.ts'
import { appName, asOptions, wrongUse } from '../option.ts'

/** `tarmac image APP IMAGE` and `tarmac promote APP --to APP`. */
export type ImageCommand = Connection & {
  name: 'image' | 'promote'
  /** Where it is deployed. */
  app: string
  source: ImageSource
  options: DeploymentOptions
  detach: boolean
}

/** Null: another use. */
export function readImage(
  name: string,
  args: string[],
  values: Values,
  env: NodeJS.ProcessEnv,
): Omit<ImageCommand, keyof Connection> | null {
  const target = targetOf(name, args, values)
  if (!target) return null
  const pairs = machineOptions(values)
  const started = Object.entries(startOf(env)).flatMap(([name, value]): [string, string][] =>
    value ? [[name, value]] : [],
  )
  const { options } = asOptions(() => readOptions([...pairs, ...started]))
  return { ...target, options, detach: values.detach }
}

function targetOf(
  name: string,
  [first, second, ...more]: string[],
  { to, release, 'from-owner': owner }: Values,
): Pick<ImageCommand, 'name' | 'app' | 'source'> | null {
  if (first === undefined || more.length > 0) return null
  if (name === 'image' && second !== undefined)
    return {
      name,
      app: appName(first),
      source: { image: referenceText(parseReference(second)) },
    }
  if (name !== 'promote' || second !== undefined) return null
  if (to === undefined) throw wrongUse('Name the app to deploy to: tarmac promote APP --to APP.')
  if (to === first && owner === undefined)
    throw wrongUse(
      `${to} runs its newest release already. To deploy an older one: tarmac rollback ${to} --release N.`,
    )
  const from = { app: appName(first), release: numberOf(release), ...ownerOf(owner) }
  return { name, app: appName(to), source: from }
}

export function numberOf(release: string | undefined): number | 'newest' {
  if (release === undefined) return 'newest'
  if (/^[1-9]\d{0,8}$/.test(release)) return Number(release)
  throw wrongUse(`--release is given the number of a release, like 3, not ${release}.`)
}

export function ownerOf(owner: string | undefined): { owner?: string } {
  if (owner === undefined) return {}
  if (OwnerName.safeParse(owner).success) return { owner }
  throw wrongUse(`--from-owner is no name of an owner: ${owner}.`)
}
