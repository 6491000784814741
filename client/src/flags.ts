import { parseArgs } from 'node:util'
import { errorMessage } from '#api/error-code.ts'
import { auditFlags } from './audit/audit.ts'
import { builderFlags } from './builder/flags.ts'
import { joinDashValues } from './dash-values.ts'
import { folderFlags } from './deploy/flags.ts'
import { driftFlags } from './drift/drift.ts'
import { helpOf } from './help.ts'
import { imageFlags } from './image/flags.ts'
import { wrongUse } from './option.ts'
import { registryFlags } from './registries/flags.ts'
import { routerFlags } from './router/flags.ts'
import { ruleFlags } from './rule/flags.ts'
import { runtimeFlags } from './runtime/flags.ts'
import { ownerFlags } from './owners/flags.ts'
import { previewFlags } from './preview/flags.ts'
import { poolFlags } from './preview/pool.ts'
import { overviewFlags } from './overview/flags.ts'
import { upFlags } from './up/flags.ts'
import { templateFlags } from './template/template.ts'
import { tokenFlags } from './token/flags.ts'
import { upkeepFlags } from './upkeep/flags.ts'

/** Every option. `help` explains each of them. */
export const flags = {
  env: { type: 'string', multiple: true },
  build: { type: 'string', multiple: true },
  secret: { type: 'string', multiple: true },
  ...folderFlags,
  'no-deploy': { type: 'boolean', default: false },
  rebuild: { type: 'boolean', default: false },
  detach: { type: 'boolean', default: false },
  abort: { type: 'boolean', default: false },
  'reuse-image': { type: 'boolean', default: false },
  why: { type: 'string' },
  release: { type: 'string' },
  only: { type: 'string' },
  step: { type: 'string' },
  region: { type: 'string' },
  count: { type: 'string' },
  config: { type: 'string', short: 'c' },
  dockerfile: { type: 'string' },
  plan: { type: 'string' },
  target: { type: 'string' },
  platform: { type: 'string' },
  tag: { type: 'string', multiple: true },
  strategy: { type: 'string' },
  ha: { type: 'boolean', default: false },
  'new-volumes': { type: 'boolean', default: false },
  network: { type: 'string' },
  'force-over': { type: 'string' },
  ...auditFlags,
  ...imageFlags,
  ...runtimeFlags,
  ...overviewFlags,
  ...previewFlags,
  ...templateFlags,
  ...poolFlags,
  ...ownerFlags,
  ...driftFlags,
  ...routerFlags,
  ...builderFlags,
  ...upkeepFlags,
  ...upFlags,
  ...ruleFlags,
  ...tokenFlags,
  ...registryFlags,
  owner: { type: 'string' },
  lane: { type: 'string' },
  gateway: { type: 'string' },
  token: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', default: false },
} as const

export type Values = ReturnType<typeof parse>['values']

/** Throws a Problem with exit code 2 for an option that does not exist, or is not of the command. */
export function parse(argv: string[]) {
  try {
    const args = joinDashValues(argv, flags)
    const parsed = parseArgs({ args, options: flags, allowPositionals: true, tokens: true })
    const name = commandOf(parsed.positionals)
    const known = helpOf(name).split(/[^\w-]+/)
    const given = parsed.tokens.filter((token) => token.kind === 'option')
    for (const option of given)
      if (!known.includes(`--${option.name}`))
        throw new Error(`--${option.name} is not an option of tarmac ${name}`)
    if (givesRights.has(name)) refuseTwice(given.map((option) => option.name))
    return parsed
  } catch (error) {
    const inside = argv[0] === 'preview' && argv.includes('exec') && !argv.includes('--')
    const next = inside
      ? 'Put -- before the command: tarmac preview exec ID -- ls -l'
      : 'See tarmac --help.'
    throw wrongUse(`${errorMessage(error).split('. ')[0]}. ${next}`)
  }
}

/** Their options say what a caller may do: of two lists, none may be dropped in silence. */
const givesRights = new Set(['token', 'rule add'])

function refuseTwice(names: (keyof typeof flags)[]): void {
  const twice = names.find((name, at) => names.indexOf(name) < at && !('multiple' in flags[name]))
  if (twice === undefined) return
  const list = twice === 'app' || twice === 'owner' ? `, as a list: --${twice} a,b` : ''
  throw new Error(`--${twice} is given twice; give it once${list}`)
}

const commandOf = ([first = '', second]: string[]): string =>
  (first === 'builder' || first === 'rule') && second ? `${first} ${second}` : first
