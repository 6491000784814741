import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { flyMachine, type Rule, tailscale } from '#api/callers/rule.ts'
import { Problem } from '#api/problem.ts'
import type { Authenticator } from '../authenticate.ts'
import type { Principal } from '../principal.ts'
import { matches, type Rules, rightsOf } from '../rules.ts'
import type { MachineAt } from './private-addresses.ts'
import { type IsTrusted, lastOf, plainAddress, textOf } from './trusted-proxies.ts'

type Deps = {
  rules: Pick<Rules, 'all'>
  isTrusted: IsTrusted
  /** Whether the operator names any proxy. */
  hasProxies: boolean
  machineAt: (address: string) => Promise<MachineAt | null>
}

/**
 * Finds callers that a proxy of the operator names in its headers: people by `tailscale serve`, and
 * machines of Fly by their private address. A header from any other address is never believed. A
 * request with a token is judged by its token alone.
 */
export const proxiedCallers =
  (deps: Deps): Authenticator =>
  async ({ bearer, headers, address }) => {
    if (bearer !== null) return null
    return byTailscale(headers, address, deps) ?? (await byFlyMachine(headers, address, deps))
  }

/** Source of the headers: tailscale.com/s/serve-headers. Tagged devices have none. */
function byTailscale(
  headers: IncomingHttpHeaders,
  peer: string,
  { rules, isTrusted, hasProxies }: Deps,
): Principal | null {
  const login = textOf(headers['tailscale-user-login'])?.toLowerCase() ?? null
  if (login === null) return null
  if (!isTrusted('tailscale', peer)) {
    if (hasProxies) throw untrusted(peer)
    return null
  }
  // Node joins two headers of one name by a comma.
  if (!/^[^\s,]{1,200}$/.test(login)) return null

  const domain = login.includes('@') ? login.slice(login.lastIndexOf('@') + 1) : undefined
  const rule = ruleFor(rules, tailscale, { login, domain })
  if (!rule) throw noRule(`Tailscale names you ${login}`, `--tailscale ${login}`)
  const address = lastOf(textOf(headers['x-forwarded-for'])) ?? peer
  return callerBy(rule, `tailscale-user:${login}`, address)
}

/** Fly's proxy sets the header itself (superfly/docs: networking/request-headers). */
async function byFlyMachine(
  headers: IncomingHttpHeaders,
  peer: string,
  { rules, isTrusted, machineAt }: Deps,
): Promise<Principal | null> {
  const source = textOf(headers['fly-client-ip'])
  // 6PN addresses are in fdaa::/16 (superfly/docs: networking/private-networking).
  if (source === null || !/^fdaa:[\da-f:]{1,40}$/i.test(source) || !isIP(source)) return null
  if (!isTrusted('fly', peer) || !rules.all().some(({ issuer }) => issuer === flyMachine))
    return null

  const machine = await machineAt(source)
  if (!machine) return null
  const { app, id, name, org } = machine
  const claims = { app_name: app, machine_id: id, machine_name: name, org_name: org }
  const rule = ruleFor(rules, flyMachine, claims)
  if (!rule) throw noRule(`Fly says that this is a machine of the app ${app}`, `--fly-6pn ${app}`)
  return callerBy(rule, `fly-machine:${app}`, source)
}

const ruleFor = (
  rules: Pick<Rules, 'all'>,
  issuer: string,
  claims: Record<string, unknown>,
): Rule | undefined => rules.all().find((rule) => rule.issuer === issuer && matches(rule, claims))

const callerBy = (rule: Rule, name: string, address: string): Principal => ({
  kind: 'proxy',
  name,
  tokenId: null,
  ...rightsOf(rule),
  address,
})

const untrusted = (peer: string) =>
  new Problem(
    'proxy-untrusted',
    `This request has the header Tailscale-User-Login, but it came from ${plainAddress(peer)}, which is no Tailscale proxy of this gateway. If it is one, the operator adds tailscale=${plainAddress(peer)} to TARMAC_TRUSTED_PROXIES. Otherwise send a token.`,
  )

const noRule = (who: string, flag: string) =>
  new Problem(
    'proxy-no-rule',
    `${who}, and no rule of this gateway is for it. An administrator can add one: tarmac rule add ${flag} --app APP.`,
  )
