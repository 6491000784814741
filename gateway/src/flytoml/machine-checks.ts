import type { MachineConfig } from '#fly/machine.ts'
import { type ConfigSource, identity } from './machine-config.ts'
import { defined, nonEmpty, refuse } from './schema.ts'
import type { Sections } from './sections.ts'

type MachineCheck = NonNullable<Sections['machine_checks']>[number]

/**
 * The machine configs of the `machine_checks` of one process group, as flyctl makes them. Only one
 * with an image of its own has `image`. The group's environment and `FLY_TEST_MACHINE_IP` come
 * later. Source: flyctl's internal/appconfig/machines.go, ToTestMachineConfig.
 */
export const machineChecksOf = (file: ConfigSource, group: string): MachineConfig[] =>
  checksOf(file.sections)
    .filter(({ processes }) => !processes || processes.includes(group))
    .map(({ check }) => checkMachine(file, check))

const maxChecks = 20
/** The process group of such machines in flyctl. */
const testGroup = 'fly_app_test_machine_command'

/**
 * Throws `fly-config-invalid` for a check that flyctl refuses when it comes to run it, and for too
 * many of them: each is a machine.
 */
export function refuseMachineChecks(sections: Sections): void {
  const count = checksOf(sections).length
  if (count > maxChecks)
    refuse('machine_checks', `has ${count} checks; ${maxChecks} are allowed. Join some of them.`)
  for (const { key, check } of checksOf(sections))
    if (!check.command)
      refuse(`${key}.command`, 'is missing: it must be the command that tests the release.')
}

function checksOf({ http_service: http, services = [], machine_checks: all }: Sections) {
  const lists = [
    { key: 'http_service', processes: http?.processes, checks: http?.machine_checks },
    ...services.map(({ processes, machine_checks: checks }, index) => ({
      key: `services[${index}]`,
      processes,
      checks,
    })),
    { key: '', processes: undefined, checks: all },
  ]
  return lists.flatMap(({ key, processes, checks = [] }) =>
    checks.map((check, index) => ({
      key: `${key ? `${key}.` : ''}machine_checks[${index}]`,
      processes,
      check,
    })),
  )
}

function checkMachine(file: ConfigSource, check: MachineCheck): MachineConfig {
  const { experimental, swap_size_mb, kill_signal, kill_timeout } = file.sections
  const { metadata } = identity(file, testGroup)
  // An image of its own has its own signal and time.
  const own = check.image === undefined
  const signal = check.kill_signal ?? (own ? kill_signal : undefined)
  const timeout = check.kill_timeout ?? (own ? kill_timeout : undefined)
  const isStopSet = signal !== undefined || timeout !== undefined
  return defined({
    image: check.image,
    init: defined({
      cmd: nonEmpty(check.command ?? []),
      entrypoint: experimental?.entrypoint ?? check.entrypoint,
      swap_size_mb,
    }),
    env: { FLY_PROCESS_GROUP: testGroup, FLY_TEST_COMMAND: '1' },
    metadata,
    restart: { policy: 'no' },
    auto_destroy: true,
    dns: { skip_registration: true },
    stop_config: isStopSet ? defined({ timeout, signal }) : undefined,
  })
}
