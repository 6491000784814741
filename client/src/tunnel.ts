/**
 * Commands for a way from this computer to a builder. Through Flycast, because Fly's proxy wakes a
 * stopped machine: without a host, `fly proxy` leads to the machine's own ports. Source: flyctl,
 * internal/command/proxy/proxy.go.
 */
export const tunnelTo = (app: string): string =>
  `fly proxy 8080:80 ${app}.flycast --app ${app}, and: export TARMAC_GATEWAY=http://127.0.0.1:8080`

/** The app in a name that only Fly's private network knows. Null: it is another name. */
export const privateApp = (hostname: string): string | null =>
  /(?:^|\.)([a-z0-9-]+)\.(?:flycast|internal)$/.exec(hostname)?.[1] ?? null
