import type { NewFlyRelease } from '#fly/releases-api.ts'
import { withGuests } from '../config/definition.ts'
import { withTag } from '../config/merge-config.ts'
import type { Execution } from '../execution.ts'
import { appliedSteps } from '../plan.ts'

/** What the request to register a deploy says. */
export function releaseOf({ job, progress }: Execution): NewFlyRelease {
  const { definition, groups, guest, strategy } = progress.desired
  const steps = appliedSteps(progress)
  const guests = groups
    .filter(({ config }) => !config.guest)
    .map(({ name, lastApplied }) => {
      const step = steps.find(({ group }) => group === name)
      const present = step?.previous?.config.guest ?? step?.base?.guest
      return [name, present ?? lastApplied?.guest ?? guest] as const
    })
  const whole = definition && withGuests(definition, Object.fromEntries(guests))
  return {
    app: job.app,
    definition: whole ? { ...whole, app: job.app } : null,
    image: withTag(job.image),
    strategy,
  }
}
