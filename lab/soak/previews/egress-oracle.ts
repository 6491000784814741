import { isSelected, type NetworkPolicy } from '../../localfly/network/policy-rules.ts'
import type { Machine } from '../../localfly/state.ts'

/**
 * What a machine may reach by the policies of its app, as `tcp 443,udp 53`. Policies only allow, and
 * what they allow is added up, so one that is there twice allows no more than once. The gateway makes
 * it twice when the answer to the first was lost.
 */
export function reachOf(
  { id, config }: Pick<Machine, 'id' | 'config'>,
  policies: readonly NetworkPolicy[],
): string {
  const rules = policies
    .filter(({ selector }) => isSelected(selector, { id, config }))
    .flatMap((policy) => policy.rules)
    .filter(({ direction }) => direction === 'egress')
  if (rules.length === 0) return 'everything'
  const ports = rules.flatMap((rule) =>
    rule.ports.map(({ protocol, port }) => `${protocol} ${port}`),
  )
  return [...new Set(ports)].toSorted().join()
}
