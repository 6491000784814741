import { factsOf, type Fields, type Shape } from '../gateway/src/flytoml/schema.ts'
import { flyTomlShape } from '../gateway/src/flytoml/sections.ts'

/** What each section is for. A section without an entry fails the test of the docs. */
const purposes: Record<string, string> = {
  app: 'the app, for a client that names none',
  primary_region:
    'region of new machines, under the option `region`; the variable `PRIMARY_REGION`',
  kill_signal: 'the signal that stops the program; Fly’s default is `SIGINT`',
  kill_timeout: 'how long the program may take to stop; Fly’s default is 5 s',
  swap_size_mb: 'swap of each machine',
  console_command: 'for `fly console` alone',
  host_dedication_id: 'Fly’s hosts for the machines',
  machine_config: 'a machine config as JSON, or the path of one; the sections come over it',
  container: 'which container of `machine_config` gets the image',
  env: 'the environment of the machines; not for secrets',
  processes: 'process groups: a name and its command; each group has its own machines',
  experimental: 'the command of a machine that runs no `[processes]`',
  build: 'how the image is built',
  deploy: 'the strategy, the wait, and the release command',
  http_service: 'the app’s web service, on ports 80 and 443',
  services: 'other services',
  checks: 'checks outside of services',
  machine_checks: 'commands that test the new image on a machine of its own',
  mounts: 'volumes',
  vm: 'the size of the machines',
  files: 'files that are put into the machines',
  statics: 'files of the image that Fly’s proxy serves',
  metrics: 'where Fly collects metrics',
  restart: 'what Fly does when the program ends',
}

/** Keys that the gateway refuses, and why. */
const refused: Record<string, string> = {
  'build.compose': 'build one image',
}
/** Other keys without effect. The gateway does not warn of the first one, which is no mistake. */
const without = new Set(['console_command', 'files.processes'])

type Effect = 'counts' | 'unused' | 'refused'

function effectOf(path: string, shape: Shape<unknown>): Effect {
  if (Object.hasOwn(refused, path)) return 'refused'
  return factsOf(shape).isUnused || without.has(path) ? 'unused' : 'counts'
}

/** The keys of a section with this effect. Keys of an inner table follow it in brackets. */
function shown(path: string, shape: Shape<unknown>, effect: Effect): string {
  const own = effectOf(path, shape)
  const name = `\`${path.split('.').at(-1)}\``
  const { fields } = factsOf(shape)
  if (own !== 'counts' || !fields) return own === effect ? name + because(path) : ''
  const inner = Object.entries(fields)
    .map(([field, each]) => shown(`${path}.${field}`, each, effect))
    .filter(Boolean)
    .join(', ')
  return inner && (path.includes('.') ? `${name} (${inner})` : inner)
}

/** One row for each section: its keys that count, those without effect, and those refused. */
export function flyTomlRows(): string[][] {
  const sections: Fields = factsOf(flyTomlShape).fields ?? {}
  return Object.entries(sections).map(([name, shape]) => {
    const purpose = purposes[name]
    if (purpose === undefined) throw new Error(`docs/fly-toml-table.ts does not know ${name}`)
    const effects = (['counts', 'unused', 'refused'] as const).map((each) =>
      shown(name, shape, each),
    )
    return [titleOf(name, shape), purpose, ...effects]
  })
}

const because = (path: string): string => (refused[path] ? `: ${refused[path]}` : '')

function titleOf(name: string, shape: Shape<unknown>): string {
  const { fields, isList } = factsOf(shape)
  if (['env', 'processes'].includes(name)) return `\`[${name}]\``
  if (name === 'checks') return '`[checks.NAME]`'
  if (isList) return `\`[[${name}]]\``
  return fields ? `\`[${name}]\`` : `\`${name}\``
}
