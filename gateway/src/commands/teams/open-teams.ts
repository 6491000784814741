import { AppName, appNameRule } from '#api/app.ts'
import {
  defaultTeam,
  MemberName,
  memberRule,
  TeamName,
  teamNameRule,
  type Team,
} from '#api/callers/teams.ts'
import { tokenLimits } from '#api/callers/token.ts'
import { Problem } from '#api/problem.ts'
import { someOf } from '#api/text/some-of.ts'
import type { Admission } from '../../callers/admission.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Principal } from '../../callers/principal.ts'
import type { StoredTeam, TeamStore } from '../../deployments/teams/team-store.ts'
import { patchQuotas } from './patch-quotas.ts'
import type { RuleCommands } from '../rules/rule-commands.ts'
import type { TokenCommands } from '../tokens/token-commands.ts'
import type { TeamCommands } from './team-commands.ts'

export type TeamDeps = {
  store: Pick<DeploymentStore, 'teams' | 'tokens' | 'rules' | 'registries'>
  tokens: Pick<TokenCommands, 'list'>
  rules: Pick<RuleCommands, 'list'>
  admission: Pick<Admission, 'factsOf'>
  /** The percentage of the build cache that the team has. Null: no quota limits it, or it is not known. */
  cachePercent: (team: string) => Promise<number | null>
}

const most = { teams: 1000, members: 10_000 }

export const noTeam = (team: string) =>
  new Problem('team-not-found', `There is no team ${team.slice(0, 100)} that the caller may see.`)

/** The commands about teams, over the store. */
export function openTeams(deps: TeamDeps): TeamCommands {
  const { teams } = deps.store
  const viewOf = async (name: string): Promise<Team> => {
    const { createdAt, quotas } = find(teams, name)
    return {
      name,
      createdAt,
      members: teams.members(name),
      apps: teams.apps(name),
      quotas: deps.admission.factsOf(name, quotas, await deps.cachePercent(name)),
    }
  }
  /** A command that changes a team, and answers it. */
  const change =
    <A>(apply: (team: StoredTeam, value: A) => Promise<void>) =>
    async (_caller: Principal, name: string, value: A): Promise<Team> => {
      await apply(find(teams, name), value)
      return viewOf(name)
    }

  const made = changes(teams, change)
  return {
    async list() {
      if (teams.isAlone) return { teams: [] }
      return { teams: await Promise.all(teams.all().map(({ name }) => viewOf(name))) }
    },
    show: (_caller, name) => viewOf(name),
    async create(_caller, name) {
      assertNew(name, teams.all())
      await teams.create(name)
      return viewOf(name)
    },
    async remove(caller, name) {
      find(teams, name)
      assertRemovable(name, teams.apps(name))
      assertNoLogins(name, await deps.store.registries.all())
      await assertUnused(caller, name, deps)
      await teams.remove(name)
    },
    ...made,
    async addMember(caller, team, member) {
      const changed = await made.addMember(caller, team, member)
      return (await isCaller(member, deps.store))
        ? changed
        : { ...changed, notes: [nobody(member)] }
    },
  }
}

type Change = <A>(
  apply: (team: StoredTeam, value: A) => Promise<void>,
) => (caller: Principal, team: string, value: A) => Promise<Team>

const changes = (
  teams: TeamStore,
  change: Change,
): Omit<TeamCommands, 'list' | 'show' | 'create' | 'remove'> => ({
  addMember: change(async ({ name }, member: string) => {
    assertMember(member)
    if (teams.members(name).length >= most.members)
      throw new Problem('team-invalid', `A team has at most ${most.members} members.`)
    await teams.addMember(name, member)
  }),
  removeMember: change(async ({ name }, member: string) => {
    if (!teams.members(name).includes(member))
      throw new Problem('team-invalid', `${member.slice(0, 200)} is no member of team ${name}.`)
    await teams.removeMember(name, member)
  }),
  addApp: change(async ({ name }, app: string) => {
    if (!AppName.safeParse(app).success) throw new Problem('app-name-invalid', appNameRule)
    await teams.moveApp(app, name)
  }),
  removeApp: change(async ({ name }, app: string) => {
    assertIsOf(name, app, teams.teamOf(app))
    await teams.moveApp(app, defaultTeam)
  }),
  setQuotas: change(async ({ name, quotas }, patch: unknown) =>
    teams.setQuotas(name, patchQuotas(quotas, patch)),
  ),
})

function find(teams: TeamStore, name: string): StoredTeam {
  const found = teams.find(name)
  if (!found) throw noTeam(name)
  return found
}

function assertIsOf(name: string, app: string, team: string): void {
  if (name === defaultTeam)
    throw new Problem(
      'team-invalid',
      `To take ${app.slice(0, 100)} out of team ${defaultTeam}, add it to another team: tarmac team add-app TEAM ${app.slice(0, 100)}`,
    )
  if (team !== name)
    throw new Problem('team-invalid', `${app.slice(0, 100)} is no app of team ${name}.`)
}

function assertNew(name: string, all: readonly StoredTeam[]): void {
  if (!TeamName.safeParse(name).success) throw new Problem('team-invalid', teamNameRule)
  if (all.some((each) => each.name === name))
    throw new Problem('team-exists', `There is a team ${name} already.`)
  if (all.length >= most.teams)
    throw new Problem('team-invalid', `A gateway has at most ${most.teams} teams.`)
}

function assertRemovable(name: string, apps: string[]): void {
  if (name === defaultTeam)
    throw new Problem('team-invalid', `The team ${defaultTeam} cannot be deleted.`)
  if (apps.length > 0)
    throw new Problem(
      'team-not-empty',
      `Team ${name} has ${apps.length === 1 ? '1 app' : `${apps.length} apps`}: ${someOf(apps, 5)}. Move each to another team first: tarmac team add-app TEAM APP`,
    )
}

/** A login must not pass to another team of the same name. */
function assertNoLogins(name: string, all: readonly { id: string; team: string | null }[]): void {
  const ids = all.flatMap(({ id, team }) => (team === name ? [id] : []))
  if (ids.length > 0)
    throw new Problem(
      'team-not-empty',
      `Team ${name} has logins at registries: ${someOf(ids, 5)}. Remove each first: tarmac registries remove ID`,
    )
}

/** Rights in a team would return with the next team of its name, for whoever holds them. */
async function assertUnused(
  caller: Principal,
  team: string,
  { tokens, rules }: Pick<TeamDeps, 'tokens' | 'rules'>,
): Promise<void> {
  const all = await tokens.list(caller, { limit: tokenLimits.count, before: null, all: false })
  const isOf = (each: { team: string | null }) => each.team === team
  const [held, ruled] = [all.tokens.filter(isOf), (await rules.list(caller)).filter(isOf)]
  const named = [
    ...held.map(({ id, name }) => ({
      name: `token ${name}`,
      command: `tarmac token revoke ${id}`,
    })),
    ...ruled.map(({ name }) => ({ name: `rule ${name}`, command: `tarmac rule remove ${name}` })),
  ]
  if (named.length > 0)
    throw new Problem(
      'team-not-empty',
      `These may still act in team ${team}: ${someOf(
        named.map(({ name }) => name),
        5,
      )}. End each of them first: ${named[0]!.command}`,
    )
}

/** Whether a token or a rule has this name. What a proxy names is not known before it calls. */
async function isCaller(
  name: string,
  { tokens, rules }: Pick<DeploymentStore, 'tokens' | 'rules'>,
): Promise<boolean> {
  if (/^(?:tailscale-user|fly-machine):/.test(name)) return true
  if ((await rules.list()).some((rule) => rule.name === name)) return true
  return (await tokens.all()).some(
    ({ team, ...token }) => team === null && `token:${token.name}` === name,
  )
}

function nobody(member: string): string {
  const how = member.includes(':') ? '' : `: a token is a member as token:${member}`
  return `No token and no rule has this name yet${how}. See tarmac token list and tarmac rule list.`
}

function assertMember(member: string): void {
  if (!MemberName.safeParse(member).success) throw new Problem('team-invalid', memberRule)
  if (member === 'operator' || member === 'gateway')
    throw new Problem(
      'team-invalid',
      `${member} is in no team: it administers the gateway as a whole.`,
    )
}
