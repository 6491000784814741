import { parseDuration } from '../go/duration.ts'
import {
  anything,
  duration,
  flag,
  keepZero,
  int,
  list,
  oneOf,
  struct,
  table,
  text,
  texts,
  type Shape,
} from './schema.ts'

// The sections of a fly.toml about services and checks.

/** A time of a check that Fly's proxy makes. */
const proxyTime: Shape<string> = (value, at) => {
  const written = duration(value, at)
  const ns = parseDuration(written ?? '0') ?? 0n
  if (ns !== 0n && (ns < 1_000_000_000n || ns > 60_000_000_000n))
    at.warn(at.key, 'is outside 1 s to 1 min; Fly moves it to the nearest of these.')
  return written
}

const times = (time: Shape<string>) => ({ interval: time, timeout: time, grace_period: time })

const httpCheck = (time: Shape<string>) => ({
  ...times(time),
  method: keepZero.text,
  path: keepZero.text,
  protocol: keepZero.text,
  tls_skip_verify: keepZero.flag,
  tls_server_name: keepZero.text,
  headers: table(keepZero.text),
})

export const machineChecks = list(
  struct({
    command: texts,
    image: text,
    entrypoint: texts,
    kill_signal: keepZero.text,
    kill_timeout: duration,
  }),
)

const replayRule = struct({
  path_prefix: keepZero.text,
  ttl_seconds: keepZero.int,
  type: keepZero.text,
  name: keepZero.text,
  allow_bypass: flag,
})
/** flyctl sends empty fields here. */
const replayCache: Shape<object> = (value, at) => ({
  path_prefix: '',
  ttl_seconds: 0,
  type: '',
  name: '',
  ...replayRule(value, at),
})

const tlsOptions = struct({ alpn: texts, versions: texts, default_self_signed: keepZero.flag })

const httpOptions = struct({
  compress: keepZero.flag,
  response: struct({ headers: table(anything), pristine: keepZero.flag }),
  h2_backend: keepZero.flag,
  idle_timeout: keepZero.uint32,
  headers_read_timeout: keepZero.uint32,
  replay_cache: list(replayCache),
})

const autostop: Shape<boolean | string> = (value, at) =>
  typeof value === 'boolean'
    ? value
    : oneOf({ off: false, stop: true, suspend: 'suspend' })(value, at)

const anyService = {
  internal_port: int,
  auto_stop_machines: autostop,
  auto_start_machines: keepZero.flag,
  min_machines_running: keepZero.int,
  concurrency: struct({ type: text, hard_limit: int, soft_limit: int }),
  machine_checks: machineChecks,
  processes: texts,
}

export const httpService = struct({
  ...anyService,
  force_https: flag,
  tls_options: tlsOptions,
  http_options: httpOptions,
  checks: list(struct(httpCheck(proxyTime))),
})

export const service = struct({
  ...anyService,
  protocol: text,
  ports: list(
    struct({
      port: keepZero.int,
      start_port: keepZero.int,
      end_port: keepZero.int,
      handlers: texts,
      force_https: flag,
      tls_options: tlsOptions,
      http_options: httpOptions,
      proxy_proto_options: struct({ version: text }),
    }),
  ),
  tcp_checks: list(struct(times(proxyTime))),
  http_checks: list(struct(httpCheck(proxyTime))),
})

/** A check of a machine outside of any service. */
export const topCheck = struct({
  ...httpCheck(duration),
  port: keepZero.int,
  type: oneOf({ http: 'http', tcp: 'tcp' }),
  processes: texts,
})
