import { allows } from '#api/callers/scope.ts'
import { Problem } from '#api/problem.ts'
import { isLimited, type Principal, sees, type Target } from '../../callers/principal.ts'
import type { Commands } from '../commands.ts'
import type { AnyRecorded, Lookups, Reached, Row } from './row.ts'
import { access } from './table.ts'

/** One call of a command, after the caller was found to have the right. */
export type Call = {
  /** As in `access`: `submit`, `drain.start`. */
  command: string
  caller: Principal
  changes: boolean
  /** The command that follows when its upload has arrived. */
  early?: string | undefined
  /** New apps of the caller's team. */
  newApps: string[]
  targets: Target[]
  args: readonly unknown[]
  recorded?: AnyRecorded | undefined
}

/** What stands between every caller and the commands. */
export type Gate = {
  find: Lookups
  /** The team that an app belongs to. */
  teamOf: (app: string) => string
  /** What an app on Fly is part of: an owner's own app is the target's, a preview's its app's. */
  partOf: (target: Target) => Target
  /** The caller with the teams that it is in now. */
  inTeams: (caller: Principal) => Principal
  /** Whether the caller may make this app: then it will belong to the caller's team. Throws `team-unclear`. */
  mayCreate: (caller: Principal, target: Target) => Promise<boolean>
  /** Runs an allowed call: where quotas refuse it, and where the audit trail records it. */
  around<R>(call: Call, run: () => Promise<R>): Promise<R>
  /** Records a call for which the caller lacks the right. */
  refused(call: Call, why: unknown): Promise<void>
}

// oxlint-disable-next-line typescript/no-explicit-any -- the table gives each row the types of its command
type AnyRow = Row<any, any>
type AnyCommand = (caller: Principal, ...args: unknown[]) => Promise<unknown>
type Group = { [name: string]: AnyCommand | Group }
type Rows = { [name: string]: AnyRow | Rows }

/**
 * For each command, why its caller may not make such a call: what the call itself would be refused
 * with. Null: it may. Nothing runs, and nothing is recorded. Throws for a caller whose proof has ended.
 */
export type Refusals<C = Commands> = {
  [Name in keyof C]: C[Name] extends (caller: Principal, ...args: infer A) => Promise<unknown>
    ? (caller: Principal, ...args: A) => Promise<Problem | null>
    : Refusals<C[Name]>
}
export type GuardedCommands = Commands & { whyNot: Refusals }

/**
 * The same commands, each of which first checks the right of its caller. Throws `forbidden` when a
 * scope is missing, and the problem of something that does not exist for what the caller may not see.
 */
export function guarded(commands: Commands, gate: Gate): GuardedCommands {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the table has the same groups and names (`TableOf`)
  const all = commands as unknown as Group
  const checked = forRows(all, access, ({ command, run, row }) => guard(command, run, row, gate))
  const whyNot = forRows(all, access, ({ command, row }) => async (given, ...args) => {
    given.proof?.assertHolds()
    const { why } = await judge({ command, row, given, args }, gate)
    return why ?? (await row.useless?.(args, gate.find)) ?? null
  })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return { ...checked, whyNot } as unknown as GuardedCommands
}

type Listed = { command: string; run: AnyCommand; row: AnyRow }

/** Makes a function for each row, in the same groups. */
function forRows(
  group: Group,
  rows: Rows,
  make: (listed: Listed) => AnyCommand,
  prefix = '',
): Group {
  const made = Object.entries(rows).map(([name, row]) => {
    const member = group[name]
    const command = `${prefix}${name}`
    if (!isRow(row)) {
      if (typeof member !== 'object') throw new Error(`There are no commands ${command}.`)
      return [name, forRows(member, row, make, `${command}.`)]
    }
    if (typeof member !== 'function') throw new Error(`There is no command ${command}.`)
    const run: AnyCommand = (caller, ...args) => member.call(group, caller, ...args)
    return [name, make({ command, run, row })]
  })
  return Object.fromEntries(made)
}

function guard(command: string, run: AnyCommand, row: AnyRow, gate: Gate): AnyCommand {
  const { shown } = row
  return async (given, ...args) => {
    given.proof?.assertHolds()
    const { call, why, isSeen } = await judge({ command, row, given, args }, gate)
    if (why) {
      await gate.refused(call, why)
      throw why
    }
    const { caller } = call
    const result = await gate.around(call, () => run(caller, ...args))
    return shown && isLimited(caller)
      ? shown(result, isSeen, { find: gate.find, caller, args })
      : result
  }
}

type Attempt = { command: string; row: AnyRow; given: Principal; args: unknown[] }

/** What a call concerns, and why its caller may not make it. */
async function judge({ command, row, given, args }: Attempt, gate: Gate) {
  const { changes, recorded, early } = row
  const caller = gate.inTeams(given)
  const isSeen = (target: Target) => sees(caller, gate.partOf(target), gate.teamOf)
  const found: Reached[] | null = row.targets ? await row.targets(args, gate.find) : []
  const targets = found ?? []
  const unseen = targets.filter((target) => !isSeen(target))
  const newApps = changes && !row.teams ? unseen.map(({ app }) => app) : []
  const call: Call = { command, early, caller, changes, newApps, targets, args, recorded }

  const exists = found !== null
  const why = await refusal(row, { ...call, targets, unseen, exists }, gate)
  return { call, why, isSeen }
}

type Asked = Omit<Call, 'targets'> & { targets: Reached[]; unseen: Reached[]; exists: boolean }

/** Why the caller may not make this call. Null: it may. */
async function refusal(
  { scope, missing, shown, ofLink, ...row }: AnyRow,
  { caller, args, targets, unseen, exists }: Asked,
  gate: Gate,
): Promise<Problem | null> {
  const teams = row.teams?.(args) ?? []
  const maker = teams.length > 0 ? { ...caller, teams } : caller
  const mayMake = row.creates === true && scope !== null && allows(caller.scopes, scope)
  const [read, own] = [
    unseen.filter(({ missing: is }) => is),
    unseen.filter((each) => !each.missing),
  ]
  const isOpen =
    exists && isIn(caller, teams) && (await isAllNew(own, mayMake ? maker : null, gate))
  // The answer is the same for what does not exist and for what the caller may not see.
  if (!isOpen) return missing?.(args) ?? forbidden(caller, scope ?? 'read')
  for (const { scope: other } of [{ scope }, ...targets]) {
    const needed = other ?? scope
    if (needed !== null && !allows(caller.scopes, needed)) return forbidden(caller, needed)
  }
  if (read[0]?.missing) return read[0].missing
  if (caller.link && !ofLink) return notOfLink(caller)
  if (caller.link && !ofLink?.(args, caller.link.deployment))
    return missing?.(args) ?? notOfLink(caller)
  return isLimited(caller) && !row.targets && !row.teams && !shown ? tooWide(caller) : null
}

/**
 * Whether the call makes all these apps, which no caller sees yet. What it only reads must exist.
 * Asks for one after the other: a rollout may have a thousand, and each is a question to Fly.
 */
async function isAllNew(unseen: Reached[], maker: Principal | null, gate: Gate): Promise<boolean> {
  for (const target of unseen)
    if (!maker || target.scope !== undefined || !(await gate.mayCreate(maker, target))) return false
  return true
}

const isIn = ({ teams }: Principal, needed: string[]) =>
  teams === null || needed.every((team) => teams.includes(team))

const isRow = (row: AnyRow | Rows): row is AnyRow => typeof row['changes'] === 'boolean'

const forbidden = ({ name, scopes }: Principal, scope: string) =>
  new Problem(
    'forbidden',
    `This needs the scope ${scope}; ${name} has ${scopes.join(', ') || 'none'}.`,
    { facts: { scope } },
  )

const notOfLink = ({ name }: Principal) =>
  new Problem(
    'forbidden',
    `${name} is a deploy link. It makes one deployment, and reads the record and the log of that one. Use a token for this.`,
  )

const tooWide = ({ name, apps, owners, teams }: Principal) =>
  new Problem(
    'forbidden',
    `This is about the gateway as a whole; ${name} is limited to ${apps || owners ? 'some apps' : `team ${teams?.join(', ')}`}. Use a caller without this limit.`,
  )
