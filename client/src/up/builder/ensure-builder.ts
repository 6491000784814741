import { Problem } from '#api/problem.ts'
import { awaitReady } from './await-ready.ts'
import { endDrain } from './drain.ts'
import { carryOut } from './carry-out.ts'
import { createApp, findApp, type AppChoice } from './find-app.ts'
import { lookAt } from './look-at.ts'
import { configOf } from '#fly/machine.ts'
import type { FlyParts } from '../fly-parts.ts'
import { flycastPort, type Wanted } from './machine-config.ts'
import type { Makers, Run } from './run.ts'
import { isBuilder, nextStep, volumeName, type Found, type Goal } from './plan.ts'
import {
  busiestRegion,
  choicesOf,
  farWords,
  guestWords,
  readGuest,
  type Choice,
  type Size,
} from './sizes.ts'

/** The builder of an organisation, and where it answers. */
export type BuilderInfo = {
  appName: string
  machineId: string
  /** Its Flycast address: reachable only in its organisation's private network. */
  address: string
  port: number
}

export type BuilderRequest = AppChoice & {
  region: string | null
  size: Size | null
  volumeGb: number | null
  alwaysOn: boolean | null
  env: Record<string, string>
  /** Make a new machine and volume where Fly has lost the host of the old ones. */
  replace: boolean
  tokenMark: string
  /** The image that the user named. Null: keep the one that runs. */
  image: string | null
}

/** More rounds than any way through the plan needs. */
const mostRounds = 60

/**
 * Finds or makes the builder, repairs it, and waits until it is ready. Running it again changes
 * nothing, whatever state an earlier run or a crash has left. The order of the checks is flyctl's
 * for its own builder: app, volume, one machine, started, the right port.
 */
export async function ensureBuilder(
  fly: FlyParts,
  request: BuilderRequest,
  makers: Makers,
): Promise<BuilderInfo> {
  const app = await findApp(fly, request)
  const found = await lookAt(fly, app)
  const choices = await placesFor(fly, request, found)
  const goal: Goal = {
    wanted: wantedOf(request),
    choice: choices[0]!,
    region: request.region,
    volumeGb: request.volumeGb,
    base: {},
    replace: request.replace,
    done: { created: false, started: false, updated: false, secrets: false },
  }
  const run: Run = { fly, goal, found, app, choices, makers, freshVolume: null }

  for (let round = 0; round < mostRounds; round++) {
    const step = nextStep(run.goal, run.found)
    if (step.do === 'create-app') {
      run.app = await createApp(fly, request)
      run.found = { ...run.found, app: run.app.name }
      fly.report(`app ${run.app.name}: made`)
    } else if (step.do === 'verify') {
      const appName = run.app!.name
      const address = run.found.addresses.find(isPrivate)!
      const open = run.found.addresses.filter((ip) => !isPrivate(ip))
      if (open.length > 0) fly.report(publicWarning(appName, open))
      const { created, updated } = run.goal.done
      reportLargerVolume(run)
      await awaitReady(fly, { app: appName, id: step.machine.id }, { isNew: created || updated })
      await endDrain(fly, appName, step.machine)
      return { appName, machineId: step.machine.id, address, port: flycastPort }
    } else await carryOut(run, step)
  }
  throw new Problem(
    'builder-failed',
    `The builder changed ${mostRounds} times and is still not as wanted. Does somebody else change the app ${run.app?.name}? Run tarmac up again.`,
  )
}

/** A volume never shrinks. */
function reportLargerVolume({ fly, goal, found }: Run): void {
  const wanted = goal.volumeGb ?? Infinity
  const larger = found.volumes.find(
    ({ name, size_gb: gb }) => name === volumeName && (gb ?? 0) > wanted,
  )
  if (larger)
    fly.report(
      `volume ${larger.id}: keeps its ${larger.size_gb} GB: a volume never shrinks to ${wanted} GB`,
    )
}

const isPrivate = (ip: string): boolean => ip.startsWith('fdaa:')

const publicWarning = (app: string, ips: string[]): string =>
  `warning: app ${app} has public addresses (${ips.join(', ')}), so anybody on the internet reaches the builder's door, which only its token keeps. up does not remove what it has not made: fly ips release ${ips[0]} --app ${app}`

const wantedOf = ({ org, image, size, env, alwaysOn, tokenMark }: BuilderRequest): Wanted => ({
  org,
  image,
  guest: size?.guest ?? null,
  env,
  alwaysOn,
  tokenMark,
})

/**
 * Where the machine may go: where the builder's volume is, or the named region, or the region where
 * most machines of the organisation run.
 */
async function placesFor(
  fly: FlyParts,
  { org, region, size }: BuilderRequest,
  { app, machines, volumes }: Found,
): Promise<Choice[]> {
  const { nearest, regions } = await fly.builder.regions(fly.signal)
  if (region && !regions.some(({ code }) => code === region))
    throw new Problem(
      'option-invalid',
      `--region: Fly has no region ${region}. It has ${regions.map(({ code }) => code).join(', ')}.`,
    )
  const apps = busiestRegion(
    (await fly.machines.orgMachines(org, null, fly.signal)).filter(
      ({ app_name: name }) => name !== app,
    ),
  )

  const volume = volumes.find(({ name }) => name === volumeName)
  const fixed = region ?? machines[0]?.region ?? volume?.region ?? null
  const home = fixed ?? apps?.region ?? nearest ?? 'iad'
  const far = apps && farWords(home, apps.region, regions)
  if (far) fly.report(far)
  else if (!fixed)
    fly.report(
      apps
        ? `region ${home}: most machines of ${org} run there (${apps.count})`
        : `region ${home}: the nearest to you; ${org} has no machines yet. To choose: --region CODE`,
    )
  const now = machines.find(isBuilder)
  const guest = now && readGuest(configOf(now).guest)
  // A machine that has to be made again gets the size that it had.
  const own = guest ? { name: guestWords(guest), guest } : null
  return choicesOf({ size: size ?? own, region: fixed }, home, regions)
}
