import type { Connection } from '../connection.ts'
import type { Values } from '../flags.ts'
import { appName, wrongUse } from '../option.ts'

/** `tarmac secrets VERB APP …` or `tarmac env VERB APP …`. `build`: secrets of builds. */
export type RuntimeRequest = {
  name: 'secrets' | 'env'
  verb: 'set' | 'unset' | 'list' | 'deploy'
  app: string
  /** Null: the app itself. */
  owner: string | null
  args: string[]
  build: boolean
  file: string | null
  /** Whether to make releases with the change at once. */
  deploy: boolean
}
export type RuntimeCommand = Connection & RuntimeRequest

const verbs = {
  secrets: ['set', 'unset', 'list', 'deploy'],
  env: ['set', 'unset', 'list'],
} as const satisfies Record<string, readonly RuntimeRequest['verb'][]>

/** Null: it is another command, or used in another way. */
export function readRuntime(
  name: string,
  [verb, app, ...args]: string[],
  values: Values,
): RuntimeRequest | null {
  if (name !== 'secrets' && name !== 'env') return null
  const known = verbs[name].find((each) => each === verb)
  if (known === undefined || app === undefined) return null

  const { file, stage, build = [], 'build-file': buildFile, owner } = values
  const isBuild = build.length > 0 || buildFile !== undefined
  if (isBuild && (args.length > 0 || file !== undefined || stage))
    throw wrongUse(
      'Give secrets of machines or secrets of builds, not both: each is one update. A secret of builds needs no --stage: it counts from the next build.',
    )
  if (owner !== undefined && (name === 'env' || isBuild))
    throw wrongUse('Only secrets of machines may be of an owner. Leave out --owner.')
  const given = isBuild ? build : args
  refuseStray(known, { given, file: file ?? buildFile, stage, deploy: values.deploy })
  return {
    name,
    verb: known,
    app: appName(app),
    owner: owner === undefined ? null : appName(owner),
    args: given,
    build: isBuild,
    file: file ?? buildFile ?? null,
    deploy: name === 'env' ? values.deploy : !stage,
  }
}

function refuseStray(
  verb: RuntimeRequest['verb'],
  {
    given,
    file,
    stage,
    deploy,
  }: { given: string[]; file: string | undefined; stage: boolean; deploy: boolean },
): void {
  const changes = verb === 'set' || verb === 'unset'
  if (!changes && (given.length > 0 || file !== undefined || stage || deploy))
    throw wrongUse(`${verb} needs only the app. See tarmac --help.`)
  if (verb !== 'unset') return
  if (file !== undefined) throw wrongUse('unset needs names, no file.')
  if (given.length === 0) throw wrongUse('Name at least one to remove.')
  const withValue = given.find((each) => each.includes('='))
  if (withValue !== undefined)
    throw wrongUse(`unset needs names alone: ${withValue.split('=', 1)[0]}`)
}
