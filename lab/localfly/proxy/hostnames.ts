/** Hostnames of users that lead to an app, and the certificates that the proxy shows for them. */
import { createSecureContext, type SecureContext } from 'node:tls'
import { type Hostname, isConfigured } from '../certificates.ts'
import type { App, FlyState } from '../state.ts'

/**
 * The app with this hostname, and the hostname as the app has it. A wildcard covers one label (superfly/docs:
 * networking/custom-domain, "Wildcard domains"). Null: none has it, or DNS cannot lead there, because
 * its certificate is not ready or the app has no public address.
 */
export function hostnameIn(state: FlyState, host: string): { app: App; found: Hostname } | null {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, '')
  const wildcard = name.replace(/^[^.]+/, '*')
  for (const wanted of [name, wildcard])
    for (const app of state.apps.values()) {
      const found = app.hostnames.find(({ hostname }) => hostname === wanted)
      const isPublic = app.ips.some(({ ip }) => !ip.startsWith('fdaa:'))
      if (found && isPublic && isConfigured(found)) return { app, found }
    }
  return null
}

/** What the proxy shows a caller that asks for this name. Null: the handshake fails, as on Fly. */
export function certificateFor(state: FlyState, name: string): SecureContext | null {
  const keys = hostnameIn(state, name)?.found.keys
  return keys ? createSecureContext({ cert: keys.fullchain, key: keys.private_key }) : null
}
