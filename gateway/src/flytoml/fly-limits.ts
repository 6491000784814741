import { refuseMachineChecks } from './machine-checks.ts'
import { refuse } from './schema.ts'
import type { Sections } from './sections.ts'
import { sizeIn } from './size.ts'

/**
 * Refuses what flyctl takes and Fly refuses: it would fail after the build. `groups` are the names
 * of the process groups.
 */
export function refuseForFly(file: Sections, groups: string[]): void {
  const { http_service: http, services = [], checks = {}, metrics = [], files = [] } = file
  if (http) refuseInternalPort('http_service', http.internal_port)
  for (const [index, { internal_port, ports = [] }] of services.entries()) {
    refuseInternalPort(`services[${index}]`, internal_port)
    for (const [nth, { port, start_port, end_port }] of ports.entries())
      for (const [name, value] of Object.entries({ port, start_port, end_port }))
        refuseNoPort(`services[${index}].ports[${nth}].${name}`, value)
  }

  for (const [name, { port }] of Object.entries(checks)) refuseNoPort(`checks.${name}.port`, port)
  for (const [index, { port }] of metrics.entries())
    refuseNoPort(`metrics[${index}].port`, port || undefined)
  for (const [index, { guest_path: path = '' }] of files.entries())
    if (!path.startsWith('/'))
      refuse(
        `files[${index}].guest_path`,
        'must be a path in the machine, such as "/etc/app.conf".',
      )
  if ((file.swap_size_mb ?? 0) < 0) refuse('swap_size_mb', 'must be 0 or more.')
  refuseMachineChecks(file)
  refuseMounts(file, groups)
}

function refuseInternalPort(key: string, port: number | undefined): void {
  if (port === undefined)
    refuse(
      `${key}.internal_port`,
      'is missing: it must be the port where the app listens, such as 8080.',
    )
  refuseNoPort(`${key}.internal_port`, port)
}

function refuseNoPort(key: string, port: number | undefined): void {
  if (port !== undefined && (port < 1 || port > 65_535))
    refuse(key, `is ${port}; a port goes from 1 to 65535.`)
}

/** Fly's limits for volumes: the size in GB, and the form of a name. */
const maxVolumeGb = 500
const volumeName = /^[a-z0-9_]{1,30}$/

function refuseMounts({ mounts = [] }: Sections, groups: string[]): void {
  const [fallback] = groups.includes('app') ? ['app'] : groups
  const mounted = new Map<string, string>()
  for (const [index, { source, destination, initial_size: size, processes }] of mounts.entries()) {
    const key = `mounts[${index}]`
    if (!destination?.startsWith('/'))
      refuse(`${key}.destination`, 'must be a path in the machine, such as "/data".')
    if (source !== undefined && !volumeName.test(source))
      refuse(
        `${key}.source`,
        `is ${JSON.stringify(source.slice(0, 60))}, which is not a valid name of a volume: a name has 1 to 30 lower-case letters, digits and _.`,
      )
    if (size !== undefined && (sizeIn(size, 1e9) ?? 0) > maxVolumeGb)
      refuse(`${key}.initial_size`, `is ${size}; a volume has ${maxVolumeGb}gb at most.`)

    for (const group of new Set(processes ?? [fallback ?? 'app'])) {
      const first = mounted.get(group)
      if (first !== undefined)
        refuse(
          key,
          `is the second mount of group '${group}' (after ${first}); a machine has one volume at most. Keep one, or give the other to another group by processes.`,
        )
      mounted.set(group, key)
    }
  }
}
