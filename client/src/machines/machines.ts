import { MachineAction, MachineList, MachineView } from '#api/machines/machine-facts.ts'
import { fill, routes } from '#api/routes.ts'
import { table } from '#api/text/table.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import { readAnswer } from '../answers.ts'

/** `action` null: list the machines. `ids` empty: all machines of the app. */
export type MachinesRequest = { app: string; action: MachineAction | null; ids: string[] }

/** Reads `tarmac machines [list] APP` and `tarmac machines stop APP [MACHINE]...`. Null: another use. */
export function readMachinesArgs(
  args: string[],
  appName: (text: string) => string,
): MachinesRequest | null {
  const [verb = ''] = args
  const { data: action } = MachineAction.safeParse(verb)
  const hasVerb = action !== undefined || (verb === 'list' && args.length > 1)
  const [app, ...ids] = hasVerb ? args.slice(1) : args
  if (app === undefined || (!action && ids.length > 0)) return null
  return { app: appName(app), action: action ?? null, ids }
}

/** Lists the machines of an app, or starts, stops or restarts them one after the other. */
export async function machines(
  { app, action, ids }: MachinesRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const list = async () =>
    readAnswer(MachineList, await gateway.ask('GET', fill(routes.machines, { app }), signal))
      .machines
  if (!action) {
    const found = await list()
    return printer.result({ machines: found }, machineLines(app, found))
  }

  const changed: MachineView[] = []
  const chosen = ids.length > 0 ? ids : (await list()).map(({ id }) => id)
  for (const id of chosen) {
    printer.note(`${action} ${id}`)
    const path = fill(routes.machineAction, { app, id, action })
    changed.push(readAnswer(MachineView, await gateway.ask('POST', path, signal)))
  }
  return printer.result({ machines: changed }, [
    ...machineLines(app, changed),
    ...(action === 'stop' ? wakeNotes(changed) : []),
  ])
}

export function machineLines(app: string, all: MachineView[]): string[] {
  if (all.length === 0) return [`${app} has no machines`]
  // Of an owner with an app of its own.
  const hasApps = all.some(({ flyApp }) => flyApp !== '' && flyApp !== app)
  const inApp = (text: string) => (hasApps ? [text] : [])
  const rows = all.map((each) => [
    each.id,
    ...inApp(each.flyApp),
    each.group,
    each.owner ?? '',
    each.region,
    each.cordoned ? `${each.state}, cordoned` : each.state,
    checksOf(each),
    `${each.size} ${each.memoryMib} MiB`,
    each.changedAt === null ? '' : minuteOf(each.changedAt),
  ])
  return table(
    [
      [
        'MACHINE',
        ...inApp('APP'),
        'GROUP',
        'OWNER',
        'REGION',
        'STATE',
        'CHECKS',
        'SIZE',
        'SINCE (UTC)',
      ],
      ...rows,
    ],
    [],
  )
}

function checksOf({ checks }: MachineView): string {
  const passing = checks.filter(({ status }) => status === 'passing').length
  return checks.length > 0 ? `${passing} of ${checks.length} pass` : ''
}

function wakeNotes(stopped: MachineView[]): string[] {
  const waking = stopped.filter(({ startsByItself }) => startsByItself).length
  if (waking === 0) return []
  return [
    `Fly starts ${waking} of them again at the next request, because their service says autostart.`,
  ]
}
