import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { touchesMachines } from './states.ts'

type Died = Pick<Deployment, 'id' | 'app' | 'state' | 'machines'> & {
  deaths: number
  /** Whether a change to a machine was about to happen. */
  touched: boolean
}

/** One run of the gateway, from start to end. */
export type Life = {
  /** The kernel's id of this boot of the machine. */
  boot: string
  /** A deployment ends after the gateway has died this often while only that deployment ran. */
  maxDeaths: number
}

/** A death of the gateway. `running`: how many deployments and rollouts ran then. */
export type Death = { running: number; isSameBoot: boolean; maxDeaths: number }

/**
 * How a death of the gateway counts for one deployment or rollout. It counts only if that one ran
 * alone, and the machine has not rebooted since. `ends`: that was the last allowed death.
 */
export function countDeath(
  deathsBefore: number,
  { running, isSameBoot, maxDeaths }: Death,
): { deaths: number; ends: boolean } {
  const counts = running === 1 && isSameBoot
  const deaths = deathsBefore + Number(counts)
  return { deaths, ends: counts && deaths >= maxDeaths }
}

/** The note in the log of a deployment that was running when the gateway died. */
export const suspected = ({ deaths }: { deaths: number }, maxDeaths: number): string =>
  [
    'The gateway died while this deployment ran.',
    ...(deaths > 0
      ? [`That is death ${deaths} while this deployment ran alone. After ${maxDeaths} it ends.`]
      : []),
    'The deployments that ran then are tried again one at a time.',
  ].join(' ')

/**
 * The problem that ends a deployment which the gateway never survived. Does not ask Fly, because
 * that call may be what kills the gateway.
 */
export function gatewayDied({ id, app, state, deaths, machines, touched }: Died): Problem {
  const times = deaths === 1 ? 'once' : `${deaths} times`
  const what = `The gateway died ${times} while this deployment ran alone, last in the state ${state}. It is not tried again.`
  const next = 'Send it again when the cause is fixed.'
  const facts = { state, deaths, ...(touchesMachines(state) && { machines }) }
  const about = touched
    ? aboutMachines({ id, app, machines })
    : 'No machine of the app was touched.'
  return new Problem('gateway-died', [what, about, cause, next].join(' '), { facts })
}

/** The same for a rollout: the gateway died while it created one of its deployments. */
export const gatewayDiedAtRollout = (deaths: number): Problem =>
  new Problem(
    'gateway-died',
    `The gateway died ${deaths === 1 ? 'once' : `${deaths} times`} while this rollout ran alone and created a deployment. It creates no more. Its deployments continue. ${cause}`,
    { facts: { state: 'waiting', deaths } },
  )

const cause =
  'This is a fault of the gateway. Its operator finds the cause in the logs of the gateway and of its machine.'

/** Says where to look for the state of machines, and how to restore them. */
export function aboutMachines({
  id,
  app,
  machines,
}: Pick<Died, 'id' | 'app' | 'machines'>): string {
  const names = machines.map((machine) => machine.id || machine.name)
  const which = names.length > 0 ? `, which are ${names.join(', ')} or new ones,` : ''
  return [
    `The machines that it had begun to change${which} stay as they are: some may run the new version, some the old one,`,
    'some may be stopped or without traffic.',
    `Look with \`fly machine list --app ${app}\` (machines of this deployment carry tarmac_deployment=${id});`,
    `\`tarmac rollback ${app}\` deploys the last release again.`,
  ].join(' ')
}
