import { isIPv4 } from 'node:net'

/**
 * Whether a `Host` names this machine: 127.0.0.0/8, `[::1]`, `localhost` or a name under it (RFC
 * 6761), with any port. The owner of any other name can point it at 127.0.0.1; the owner's web page
 * could then call the gateway as its own server.
 */
export function isLoopbackHost(host: string | undefined): boolean {
  const [, name] = /^(\[::1\]|[a-z0-9.-]+)(?::\d{0,5})?$/i.exec(host ?? '') ?? []
  if (name === undefined) return false
  if (name === '[::1]') return true
  if (isIPv4(name)) return name.startsWith('127.')
  return name.toLowerCase().replace(/\.$/, '').split('.').at(-1) === 'localhost'
}
