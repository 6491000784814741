import { OwnerName } from '#api/app.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { PowerAction } from '#api/machines/machine-facts.ts'
import type { VolumesEnd } from '#api/owners/owner.ts'
import { type DeploymentOptions, readOptions } from '#api/options.ts'
import { assignment } from '../deploy/read-deploy.ts'
import { startOf } from '../deploy/ci-system.ts'
import type { Values } from '../flags.ts'
import { numberOf, ownerOf } from '../image/read-image.ts'
import { appName, asOptions, wrongUse } from '../option.ts'

type Target = { app: string; owner: string }
/** What `tarmac owners` and `tarmac owner` ask for. */
export type OwnerRequest =
  | { verb: 'list'; app: string; query: URLSearchParams }
  | (Target & { verb: 'show' })
  | (Target & { verb: PowerAction })
  | (Target & {
      verb: 'move'
      source: ImageSource
      options: Pick<DeploymentOptions, 'owner' | 'trigger' | 'env'>
      detach: boolean
    })
  | (Target & { verb: 'destroy'; volumes: VolumesEnd; yes: boolean })

export const ownerUsage =
  'show APP OWNER | stop|start|suspend APP OWNER | move APP OWNER [--release N] | destroy APP OWNER [--keep-volumes]'

/** Which options each verb has. */
const optionsOf = {
  show: [],
  stop: [],
  start: [],
  suspend: [],
  move: ['release', 'from-owner', 'env', 'detach'],
  destroy: ['keep-volumes', 'yes'],
} as const satisfies Record<string, readonly (keyof Values)[]>
const all = Object.values(optionsOf).flat()

type Verb = keyof typeof optionsOf
const isVerb = (word: string): word is Verb => Object.hasOwn(optionsOf, word)

/** Reads `tarmac owners APP` and `tarmac owner VERB APP OWNER`. Null: another use. */
export function readOwnerArgs(
  name: string,
  args: string[],
  values: Values,
  env: NodeJS.ProcessEnv,
): OwnerRequest | null {
  if (name === 'owners') return readList(args, values)
  const [verb = '', app, owner, ...more] = args
  if (name !== 'owner' || !isVerb(verb) || owner === undefined || more.length > 0) return null
  const wrong = all.find((option) => values[option] && !includes(optionsOf[verb], option))
  if (wrong)
    throw wrongUse(`--${wrong} is not an option of tarmac owner ${verb}. See tarmac owner --help.`)
  const target = { app: appName(app!), owner: ownerName(owner) }
  if (verb === 'show') return { verb, ...target }
  if (verb === 'destroy')
    return { verb, ...target, volumes: values['keep-volumes'] ? 'keep' : 'delete', yes: values.yes }
  if (verb !== 'move') return { verb, ...target }
  const { release, 'from-owner': from, detach } = values
  const source = { app: target.app, release: numberOf(release), ...ownerOf(from) }
  const variables = (values.env ?? []).map((pair) => assignment('env', pair))
  const { options } = asOptions(() => readOptions(variables))
  const own = { owner, ...startOf(env), env: options.env }
  return { verb, ...target, source, options: own, detach }
}

function readList([app, ...more]: string[], values: Values): OwnerRequest | null {
  if (app === undefined || more.length > 0) return null
  const filters = ['state', 'limit', 'cursor'] as const
  const given = filters.flatMap((each) =>
    values[each] === undefined ? [] : [[each, values[each]]],
  )
  return { verb: 'list', app: appName(app), query: new URLSearchParams(given) }
}

const includes = (options: readonly string[], option: string) => options.includes(option)

function ownerName(owner: string): string {
  if (OwnerName.safeParse(owner).success) return owner
  throw wrongUse(
    `${owner} is no name of an owner: 2 to 63 lower-case letters, digits and dashes, not beginning or ending with a dash.`,
  )
}
