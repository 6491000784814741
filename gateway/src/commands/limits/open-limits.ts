import { defaultTeam } from '#api/callers/teams.ts'
import type { GatewayLimit, LimitsAnswer } from '#api/callers/limits.ts'
import type { Admission } from '../../callers/admission.ts'
import type { Principal } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

export type LimitCommands = {
  /** What the caller may use, and what the gateway takes of anyone. */
  read(caller: Principal): Promise<LimitsAnswer>
}

export type LimitDeps = {
  store: Pick<DeploymentStore, 'teams'>
  admission: Pick<Admission, 'factsOf' | 'isExempt'>
  cachePercent: (team: string) => Promise<number | null>
  /** The limits for every caller. */
  gatewayLimits: readonly GatewayLimit[]
}

export function openLimits(deps: LimitDeps): LimitCommands {
  const { store, admission, cachePercent, gatewayLimits } = deps
  return {
    async read(caller) {
      const teams = admission.isExempt(caller) ? [] : (caller.teams ?? [defaultTeam])
      const facts = teams.map(async (team) => {
        const own = store.teams.find(team)?.quotas ?? {}
        const all = admission.factsOf(team, own, await cachePercent(team))
        const named = store.teams.isAlone ? {} : { team }
        return all.filter(({ limit }) => limit !== null).map((fact) => ({ ...named, ...fact }))
      })
      return { quotas: (await Promise.all(facts)).flat(), limits: [...gatewayLimits] }
    },
  }
}
