import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const maxBuffer = 64 << 20

type Rule = { family: string; table: string; chain: string; handle: number; expr: object[] }
type Listed = { rule?: Rule }

/**
 * Removes podman's firewall rules for a subnet. Podman itself removes them only with the last
 * machine of a network whose bridge has no port of somebody else.
 */
export async function removeFirewallRules(subnet: string): Promise<void> {
  const { stdout } = await run('nft', ['-j', '-a', 'list', 'ruleset'], { maxBuffer })
  const { nftables } = JSON.parse(stdout) as { nftables: Listed[] }
  const rules = nftables
    .flatMap(({ rule }) => rule ?? [])
    .filter(({ expr }) => JSON.stringify(expr).includes(`"${subnet}.`))
  for (const { family, table, chain, handle } of rules)
    await quiet('delete', 'rule', family, table, chain, 'handle', String(handle))

  const own = new Set(
    rules.map(({ family, table, expr }) => [family, table, targetOf(expr)].join()),
  )
  for (const [family = '', table = '', chain = ''] of [...own].map((each) => each.split(',')))
    if (chain.startsWith('NETAVARK-')) {
      await quiet('flush', 'chain', family, table, chain)
      await quiet('delete', 'chain', family, table, chain)
    }
}

const targetOf = (expr: object[]): string =>
  expr.flatMap((each) => ('jump' in each ? (each.jump as { target: string }).target : []))[0] ?? ''

/** Another lab may have changed the rules meanwhile, and a chain may be in use by others. */
const quiet = (...words: string[]) => run('nft', words).catch(() => undefined)
