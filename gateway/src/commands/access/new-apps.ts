import { defaultTeam } from '#api/callers/teams.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Call } from './guarded.ts'
import { noApp } from './row-kinds.ts'

/** Gives new apps to the team of the caller that makes them. A call that fails leaves none behind. */
export class NewApps {
  readonly #teams: Pick<DeploymentStore['teams'], 'claim' | 'release'>
  /** Calls that run, by app. */
  readonly #running = new Map<string, number>()
  /** Claimed by calls that have not succeeded. */
  readonly #claimed = new Set<string>()

  constructor(teams: Pick<DeploymentStore['teams'], 'claim' | 'release'>) {
    this.#teams = teams
  }

  /** Throws `app-not-found` if another caller was faster. */
  async during<R>({ caller, newApps, targets }: Call, run: () => Promise<R>): Promise<R> {
    const apps = new Set(targets.map(({ app }) => app))
    for (const app of apps) this.#running.set(app, (this.#running.get(app) ?? 0) + 1)
    try {
      for (const app of newApps) {
        if (!(await this.#teams.claim(app, teamFor(caller, app)))) throw noApp(app)
        this.#claimed.add(app)
      }
      const result = await run()
      for (const app of apps) this.#claimed.delete(app)
      return result
    } finally {
      for (const app of apps) await this.#leave(app)
    }
  }

  /** The last of the calls that run gives the name back, unless one succeeded. */
  async #leave(app: string): Promise<void> {
    const others = this.#running.get(app)! - 1
    if (others > 0) return void this.#running.set(app, others)
    this.#running.delete(app)
    if (this.#claimed.delete(app)) await this.#teams.release(app)
  }
}

/** The team that gets a new app. */
export function teamFor({ teams }: Principal, app: string): string {
  const [team = defaultTeam, ...others] = teams ?? []
  if (others.length === 0) return team
  throw new Problem(
    'team-unclear',
    `The caller is in ${teams?.length} teams: ${[team, ...others].join(', ')}. Say which one gets the new app: tarmac team add-app TEAM ${app}. Then deploy it.`,
    { facts: { teams } },
  )
}
