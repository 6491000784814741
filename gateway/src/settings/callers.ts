import { readFileSync } from 'node:fs'
import { isIP, isIPv6 } from 'node:net'
import { z } from 'zod'
import { NewRule } from '#api/callers/rule.ts'
import { errorMessage } from '#api/error-code.ts'
import { list } from './kinds.ts'
import { setting } from './setting.ts'

const NamedRules = z
  .array(NewRule)
  .refine(
    (rules) => new Set(rules.map(({ name }) => name)).size === rules.length,
    'two rules have the same name',
  )

/** Rules as a JSON array, or the path of a file that holds it. */
const oidcRules = z.string().transform((value, context): NewRule[] => {
  const given = value.trim()
  if (given === '') return []
  try {
    const text = given.startsWith('[') ? given : readFileSync(given, 'utf8')
    const read = NamedRules.safeParse(JSON.parse(text))
    if (read.success) return read.data
    for (const { path, message } of read.error.issues.slice(0, 5))
      context.addIssue({ code: 'custom', message: `rule ${path.join('.')}: ${message}` })
  } catch (error) {
    const message = `must be a JSON array of rules, or the path of a file with one: ${errorMessage(error)}`
    context.addIssue({ code: 'custom', message })
  }
  return z.NEVER
})

type Proxy = { kind: 'tailscale' | 'fly'; range: string }
const trustedProxies = list.transform((items, context) =>
  items.flatMap((item): Proxy[] => {
    const [, kind, range = ''] = /^(tailscale|fly)=(\S+)$/.exec(item) ?? []
    if ((kind === 'tailscale' || kind === 'fly') && isRange(range)) return [{ kind, range }]
    const message = `has items like tailscale=127.0.0.1 and fly=172.16.0.0/16, not ${JSON.stringify(item.slice(0, 50))}`
    context.addIssue({ code: 'custom', message })
    return []
  }),
)

function isRange(range: string): boolean {
  const [address = '', bits = '0', ...more] = range.split('/')
  const most = isIPv6(address) ? 128 : 32
  return isIP(address) !== 0 && more.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most
}

/** Who may call without a token of the gateway. See docs/callers.md. */
export const callers = {
  oidcRules: setting('TARMAC_OIDC_RULES', oidcRules, '').describe(
    'Rules for callers without a secret of the gateway, such as jobs of GitHub Actions: a JSON array, or the path of a file with it. `tarmac rule add` adds others later. See callers.md.',
  ),
  trustedProxies: setting('TARMAC_TRUSTED_PROXIES', trustedProxies, '').describe(
    'Proxies that say who the caller is, as `tailscale=ADDRESS` or `fly=ADDRESS`, separated by commas; an address or a range like 172.16.0.0/16. Each is believed in its own headers alone. See callers.md.',
  ),
}
