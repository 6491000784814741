import type { BuilderInfo } from './builder/ensure-builder.ts'
import { tunnelTo } from '../tunnel.ts'
import { gatewayOf } from './secrets.ts'

/** How each kind of caller reaches the builder. One note each. */
export function howToReach(
  { appName, address }: BuilderInfo,
  { path, hasToken }: { path: string; hasToken: boolean },
): string[] {
  const gateway = gatewayOf(appName)
  return [
    hasToken
      ? `its address, token and key are in ${path}. This computer's other tarmac commands read them there. Keep a copy: nobody else has the key, and no backup can be restored without it`
      : `this computer does not have its token: ${path} is on the one where it was made. Copy that file here, or set TARMAC_TOKEN`,
    `the builder answers only inside the organisation's private network, at ${gateway} and http://[${address}]`,
    [
      'from this computer, one of:',
      '  a Tailscale subnet router in the organisation, which routes fdaa::/16: nothing more to do',
      `  fly wireguard create, then: wg-quick up ./FILE.conf, and ${gateway} answers`,
      `  ${tunnelTo(appName)}`,
    ].join('\n'),
    `from CI: a WireGuard peer or tailnet node of the organisation, with TARMAC_GATEWAY and TARMAC_TOKEN as secrets of the job`,
    `from other apps of the organisation on the same network: TARMAC_GATEWAY=${gateway}; set TARMAC_TOKEN by fly secrets set`,
  ]
}
