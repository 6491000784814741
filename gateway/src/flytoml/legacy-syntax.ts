import { formatDuration } from '../go/duration.ts'
import { goText } from './go-format.ts'
import { defined, isTable, nanoseconds, nonEmpty, refuse, type Table } from './schema.ts'

/** Converts older spellings that flyctl still accepts to the present ones. Keeps the rest. */
export function patchToml(file: Table): Table {
  const { compute, computes, mount, metric, ...rest } = file
  const experimental = patchExperimental(rest['experimental'])
  const { kill_timeout, metrics_port: port, metrics_path: path } = experimental ?? {}
  const oldMetrics = port === undefined && path === undefined ? [] : defined({ port, path })
  return {
    ...rest,
    kill_timeout: bareNumber(
      'kill_timeout',
      'kill_timeout' in rest ? rest['kill_timeout'] : kill_timeout,
      's',
    ),
    env: rest['env'] === undefined ? undefined : patchEnv(rest['env']),
    services:
      rest['services'] && tables('services', rest['services']).map(patchService).filter(isAnything),
    processes: patchProcesses(rest['processes']),
    experimental,
    checks: patchChecks(rest['checks']),
    vm: joined({ compute, computes, vm: rest['vm'] }).map((one) => withText(one, 'memory')),
    mounts: joined({ mount, mounts: rest['mounts'] }).map((one) => withText(one, 'initial_size')),
    metrics: joined({ metric, metrics: rest['metrics'] ?? oldMetrics }),
    build: patchBuild(rest['build']),
  }
}

/** Accepts several tables, one, or none. */
function tables(key: string, value: unknown): Table[] {
  if (value === undefined) return []
  const all: unknown[] = Array.isArray(value) ? value : [value]
  return all.every(isTable) ? all : refuse(key, `must be tables: [[${key}]].`)
}

const joined = (sections: Table): Table[] =>
  Object.entries(sections).flatMap(([key, value]) => tables(key, value))

const isAnything = (one: Table): boolean => Object.values(one).some((value) => value !== undefined)

const withText = (one: Table, name: string): Table =>
  name in one ? { ...one, [name]: goText(one[name]) } : one

/**
 * Adds the file's unit to a number without one. Null: the value cannot be a duration, so it counts
 * as not set.
 */
function bareNumber(key: string, value: unknown, unit: 'ms' | 's'): unknown {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  if (typeof value !== 'bigint' && typeof value !== 'number') return null
  if (!Number.isFinite(Number(value))) return value
  const count = typeof value === 'bigint' ? value : BigInt(Math.trunc(value))
  return formatDuration(nanoseconds(key, count * (unit === 's' ? 1_000_000_000n : 1_000_000n)))
}

/** Accepts values that are not texts, and several tables. */
function patchEnv(env: unknown): Table {
  if (Array.isArray(env))
    return Object.fromEntries(env.flatMap((one) => Object.entries(patchEnv(one))))
  if (!isTable(env)) return refuse('env', 'must be a table: [env], then NAME = "value" for each.')
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, goText(value)]))
}

/** Accepts `[[processes]]` with name and command. */
function patchProcesses(processes: unknown): unknown {
  if (processes === undefined || isTable(processes)) return processes
  if (!Array.isArray(processes))
    return refuse('processes', 'must be a table: [processes], then name = "command" for each.')
  const named = processes.filter((one): one is Table => isTable(one) && 'name' in one)
  const commands = named.map(({ name, command }) => [goText(name), goText(command ?? '')])
  return commands.length > 0 ? Object.fromEntries(commands) : undefined
}

function patchExperimental(section: unknown): Table | undefined {
  if (section === undefined) return undefined
  if (!isTable(section)) return refuse('experimental', 'must be a table: [experimental].')
  const lists = ['cmd', 'entrypoint', 'exec'].filter((name) => typeof section[name] === 'string')
  return { ...section, ...Object.fromEntries(lists.map((name) => [name, [section[name]]])) }
}

function patchBuild(build: unknown): Table | undefined {
  if (build === undefined) return undefined
  if (!isTable(build)) return refuse('build', 'must be a table: [build].')
  const { build_target, ...rest } = build
  return build_target === undefined ? rest : { ...rest, 'build-target': build_target }
}

function patchService(service: Table, index: number): Table {
  const at = `services[${index}]`
  const { concurrency, internal_port, ports, tcp_checks, http_checks } = service
  const checks = (name: string, value: unknown) =>
    nonEmpty(
      tables(`${at}.${name}`, value).map((check, nth) =>
        patchCheck(`${at}.${name}[${nth}]`, check),
      ),
    )
  return {
    ...service,
    concurrency: patchConcurrency(`${at}.concurrency`, concurrency),
    internal_port: asInt(`${at}.internal_port`, internal_port),
    ports:
      ports &&
      tables(`${at}.ports`, ports).map((one, nth) => ({
        ...one,
        port: asInt(`${at}.ports[${nth}].port`, one['port']),
      })),
    tcp_checks: checks('tcp_checks', tcp_checks),
    http_checks: checks('http_checks', http_checks),
  }
}

/** Accepts `"soft,hard"`. */
function patchConcurrency(key: string, concurrency: unknown): unknown {
  if (concurrency === undefined || isTable(concurrency)) return concurrency
  const [, soft, hard] =
    /^([+-]?\d+),([+-]?\d+)$/.exec(typeof concurrency === 'string' ? concurrency : '') ?? []
  if (!soft || !hard) return refuse(key, 'must be a table with type, soft_limit and hard_limit.')
  return { type: 'requests', soft_limit: asInt(key, soft), hard_limit: asInt(key, hard) }
}

/** Accepts "8080" and 8080.0 too. */
function asInt(key: string, value: unknown): unknown {
  if (value === undefined || typeof value === 'bigint') return value
  if (typeof value === 'number') return Math.trunc(value)
  if (typeof value === 'string' && /^[+-]?\d+$/.test(value)) return Number(value)
  return refuse(key, `must be a whole number, not ${JSON.stringify(goText(value))}.`)
}

/** Accepts `[[checks]]` with a name each, too. */
function patchChecks(checks: unknown): unknown {
  if (checks === undefined) return undefined
  const named = Array.isArray(checks)
    ? tables('checks', checks).map((check, index): [string, Table] =>
        typeof check['name'] === 'string'
          ? [check['name'], check]
          : refuse(`checks[${index}].name`, 'must be a text.'),
      )
    : Object.entries(isTable(checks) ? checks : refuse('checks', 'must be tables: [checks.name].'))
  const patched = named.map(([name, check]) => [
    name,
    isTable(check)
      ? patchCheck(`checks.${name}`, check)
      : refuse(`checks.${name}`, 'must be a table.'),
  ])
  return Object.fromEntries(patched)
}

/**
 * Accepts times in milliseconds. Accepts headers as a list of `{name, value}`, or with values that
 * are not texts.
 */
function patchCheck(key: string, check: Table): Table {
  const times = ['interval', 'timeout', 'grace_period'].map((name) => [
    name,
    bareNumber(`${key}.${name}`, check[name], 'ms'),
  ])
  const { headers } = check
  return {
    ...check,
    ...Object.fromEntries(times),
    headers:
      headers === undefined
        ? undefined
        : Object.fromEntries(headerPairs(`${key}.headers`, headers)),
  }
}

function headerPairs(key: string, headers: unknown): [string, string][] {
  if (isTable(headers)) return Object.entries(headers).map(([name, value]) => [name, goText(value)])
  if (!Array.isArray(headers)) return refuse(key, 'must be a table: NAME = "value" for each.')
  return headers.map((one) =>
    isTable(one) && 'name' in one
      ? [goText(one['name']), goText(one['value'] ?? '')]
      : refuse(key, 'must hold tables with name and value.'),
  )
}
