/** A public HTTP service at `port`, without checks. It stops when idle; a request starts it. */
export const serviceToml = (port: number): string => `
[[services]]
protocol = "tcp"
internal_port = ${port}
auto_stop_machines = "stop"
auto_start_machines = true
min_machines_running = 0
ports = [{ port = 80, handlers = ["http"] }, { port = 443, handlers = ["http", "tls"] }]
`
