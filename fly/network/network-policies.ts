import { z } from 'zod'
import { ignored } from '../answers.ts'
import type { FlyCalls } from '../fly-calls.ts'

const Port = z.object({ protocol: z.string(), port: z.number() })
export type PolicyPort = z.infer<typeof Port>

/**
 * A network policy, as it is created (superfly/docs: machines/guides-examples/network-policies). That
 * page says how answers are asked for, and not how they look: they are read as what was sent.
 */
const Policy = z.object({
  id: z.string(),
  name: z.string().nullish(),
  selector: z.object({
    all: z.boolean().nullish(),
    machines: z.array(z.unknown()).nullish(),
    metadata: z.record(z.string(), z.unknown()).nullish(),
  }),
  rules: z.array(z.object({ direction: z.string(), ports: z.array(Port).nullish() })).nullish(),
})
export type NetworkPolicy = z.infer<typeof Policy>

/**
 * What the machines of apps may reach, by port alone: Fly has no rules by address or name. Machines
 * get a change with their next start.
 */
export class NetworkPolicies {
  readonly #calls: FlyCalls

  constructor(calls: FlyCalls) {
    this.#calls = calls
  }

  async list(app: string, signal: AbortSignal): Promise<NetworkPolicy[]> {
    const path = `/apps/${app}/network_policies/`
    const answer = z.array(Policy).nullable()
    const call = { path, action: 'list-policies', id: app, answer, method: 'GET' } as const
    return (await this.#calls.call(call, signal)) ?? []
  }

  /**
   * Lets all machines of the app reach these ports and no other. `id`: of the policy to replace. If
   * the answer is lost, the caller must look for the policy before it makes another.
   */
  async allowEgress(
    app: string,
    { id, name, ports }: { id: string | undefined; name: string; ports: readonly PolicyPort[] },
    signal: AbortSignal,
  ): Promise<void> {
    const rules = [{ action: 'allow', direction: 'egress', ports }]
    const body = { ...(id !== undefined && { id }), name, selector: { all: true }, rules }
    const path = `/apps/${app}/network_policies`
    const call = { path, action: 'set-policy', id: app, answer: ignored, body } as const
    await this.#calls.call({ ...call, method: 'POST', repeat: 'no' }, signal)
  }
}
