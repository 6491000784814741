import { goText, isTable, refuse, type Table } from './toml-section.ts'

/** Brings the older spellings that flyctl still takes into the present ones; the rest stays as it is. */
export function patchToml(file: Table): Table {
  const { compute, computes, vm, mount, mounts, metric, metrics, ...rest } = file
  const experimental = patchExperimental(rest['experimental'])
  const patched: Table = {
    ...rest,
    ...experimental.hoisted,
    ...rest, // hoisted values give way to what stands at the top
    ...present('experimental', experimental.section),
    ...present('env', Array.isArray(rest['env']) ? Object.assign({}, ...rest['env']) : rest['env']),
    ...present('processes', patchProcesses(rest['processes'])),
    ...present(
      'vm',
      joined([compute, computes, vm])?.map((one) => withText(one, 'memory')),
    ),
    ...present(
      'mounts',
      joined([mount, mounts])?.map((one) => withText(one, 'initial_size')),
    ),
    ...present('metrics', joined([metric, metrics, experimental.metrics])),
    ...present('services', tables(rest['services'])?.map(patchService)),
  }
  for (const name of ['processes', 'experimental', 'build', 'services']) {
    const value = patched[name]
    if ((Array.isArray(value) && value.length === 0) || (isTable(value) && Object.keys(value).length === 0))
      delete patched[name]
  }
  if (isTable(patched['build']) && 'build_target' in patched['build']) {
    const { build_target, ...build } = patched['build']
    patched['build'] = { ...build, 'build-target': build_target }
  }
  if (isTable(patched['checks'])) {
    patched['checks'] = Object.fromEntries(
      Object.entries(patched['checks']).map(([name, check]) => [name, patchCheck(check)]),
    )
  }
  return patched
}

const present = (name: string, value: unknown): Table => (value === undefined ? {} : { [name]: value })

/** A single table counts as a list of one. */
function tables(value: unknown): Table[] | undefined {
  if (value === undefined) return undefined
  return (isTable(value) ? [value] : value) as Table[]
}

function joined(values: unknown[]): Table[] | undefined {
  const given = values.flatMap((value) => tables(value) ?? [])
  return given.length > 0 ? given : undefined
}

function withText(table: Table, name: string): Table {
  const value = isTable(table) ? table[name] : undefined
  return typeof value === 'number' || typeof value === 'bigint' ? { ...table, [name]: `${value}` } : table
}

/** `[[processes]]` with name and command. */
function patchProcesses(processes: unknown): unknown {
  if (processes === undefined || isTable(processes)) return processes
  if (!Array.isArray(processes))
    return refuse('processes', 'must be a table: [processes], then name = "command" for each.')
  const named = (processes as Table[]).filter((one) => isTable(one) && 'name' in one)
  return Object.fromEntries(named.map(({ name, command }) => [name, command ?? '']))
}

function patchExperimental(section: unknown): { section: unknown; hoisted: Table; metrics?: Table } {
  if (!isTable(section)) {
    if (section !== undefined) refuse('experimental', 'must be a table: [experimental].')
    return { section, hoisted: {} }
  }
  const { kill_timeout, metrics_port, metrics_path, ...rest } = section
  for (const name of ['cmd', 'entrypoint', 'exec']) if (typeof rest[name] === 'string') rest[name] = [rest[name]]
  const metrics = metrics_port !== undefined && { port: metrics_port, path: metrics_path }
  return { section: rest, hoisted: present('kill_timeout', kill_timeout), ...(metrics && { metrics }) }
}

function patchService(service: Table): Table {
  const patched = { ...service, ...present('concurrency', patchConcurrency(service['concurrency'])) }
  for (const name of ['tcp_checks', 'http_checks']) {
    const checks = tables(service[name])
    if (Array.isArray(checks)) Object.assign(patched, { [name]: checks.map(patchCheck) })
  }
  const ports = tables(service['ports'])
  return ports === undefined ? patched : { ...patched, ports }
}

/** `"soft,hard"`. */
function patchConcurrency(concurrency: unknown): unknown {
  if (concurrency === undefined || isTable(concurrency)) return concurrency
  const [, soft, hard] = /^(\d+),(\d+)$/.exec(typeof concurrency === 'string' ? concurrency : '') ?? []
  if (!soft || !hard) refuse('services.concurrency', 'must be a table with type, soft_limit and hard_limit.')
  return { type: 'requests', soft_limit: BigInt(soft), hard_limit: BigInt(hard) }
}

/** Headers as a list of `{name, value}`, or with values that are no texts. */
function patchCheck(check: unknown): unknown {
  if (!isTable(check) || check['headers'] === undefined) return check
  const { headers, ...rest } = check
  const pairs = Array.isArray(headers)
    ? (headers as Table[]).map(({ name, value }) => [name, value])
    : Object.entries(headers as Table)
  return { ...rest, headers: Object.fromEntries(pairs.map(([name, value]) => [name, goText(value)])) }
}
