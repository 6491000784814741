import { configOf, type Machine } from '#fly/machine.ts'
import type { DesiredGroup } from '../config/desired-app.ts'
import { type MachineStep, newStep } from '../progress.ts'

/** Where the steps of a group's machine checks come from. */
type Target = {
  region: string
  /** A machine of the group, whose config the tested machine takes over. */
  model: Machine | undefined
  /** The name of a new machine: the same after a crash. */
  nameOf: (group: string, what: string) => string
}

/** The throwaway machine that a group's machine checks test, and one for each check. */
export function checkSteps(group: DesiredGroup, { region, model, nameOf }: Target): MachineStep[] {
  const { name, config, machineChecks = [] } = group
  if (machineChecks.length === 0) return []
  const { standbys: _own, ...base } = model ? configOf(model) : {}
  const place = model?.region ?? region
  const step = (role: 'tested' | 'machineCheck', what: string) =>
    newStep(role, name, place, nameOf(name, what))

  // A volume is for one machine, and data of its own would prove nothing.
  const hasVolume = Boolean(config.mounts?.length || base.mounts?.length)
  const guest = config.guest ?? base.guest
  return [
    ...(hasVolume ? [] : [{ ...step('tested', 'tested'), base: model ? base : null }]),
    ...machineChecks.map((_, check) => ({
      ...step('machineCheck', `check-${check + 1}`),
      base: guest ? { guest } : null,
      check,
      launch: false,
    })),
  ]
}
