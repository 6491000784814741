import { z } from 'zod'

const Selector = z.strictObject({
  all: z.boolean().optional(),
  machines: z.array(z.object({ id: z.string() })).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
})
const Rule = z.object({
  action: z.literal('allow'),
  direction: z.enum(['ingress', 'egress']),
  ports: z.array(z.object({ protocol: z.enum(['tcp', 'udp']), port: z.int().min(1).max(65_535) })),
})
/** The body of a create or an update. */
export const NewPolicy = z.object({
  id: z.string().optional(),
  name: z.string().min(1),
  selector: Selector,
  rules: z.array(Rule),
})
export type NetworkPolicy = z.infer<typeof NewPolicy> & { id: string }

/** The parts of a machine that a selector looks at. */
type Selectable = { id: string; config: { metadata?: Record<string, string> | null | undefined } }

/** Whether a policy applies to a machine: all given ways of selection must match. */
export function isSelected(
  { all, machines, metadata }: NetworkPolicy['selector'],
  { id, config }: Selectable,
): boolean {
  const ways = [
    ...(all === undefined ? [] : [all]),
    ...(machines ? [machines.some((machine) => machine.id === id)] : []),
    ...Object.entries(metadata ?? {}).map(([key, value]) => config.metadata?.[key] === value),
  ]
  return ways.length > 0 && ways.every(Boolean)
}

/**
 * The firewall rules inside a machine, in the syntax of nft, or null where no policy selects it. A
 * direction with a rule is closed but for the allowed ports. Answers to allowed connections pass.
 * `proxy`: the address of Fly's own side. Traffic with the proxy is not affected. Whether the name
 * server and the API are is not established; here they are reached as ever.
 */
export function policyRules(
  policies: NetworkPolicy[],
  machine: Selectable,
  proxy: string,
): string | null {
  const rules = policies
    .filter(({ selector }) => isSelected(selector, machine))
    .flatMap((policy) => policy.rules)
  if (rules.length === 0) return null
  const chain = (direction: 'ingress' | 'egress') => {
    const [hook, end, link] =
      direction === 'ingress' ? ['input', 'saddr', 'iifname'] : ['output', 'daddr', 'oifname']
    const own = rules.filter((rule) => rule.direction === direction)
    if (own.length === 0) return []
    const allowed = own.flatMap(({ ports }) =>
      ports.map(({ protocol, port }) => `${protocol} dport ${port} accept`),
    )
    return [
      `chain ${hook}_policy {`,
      `type filter hook ${hook} priority 0; policy drop;`,
      `${link} "lo" accept`,
      'ct state established,related accept',
      `ip ${end} ${proxy} accept`,
      ...allowed,
      '}',
    ]
  }
  return ['table inet network_policy {', ...chain('ingress'), ...chain('egress'), '}\n'].join('\n')
}
