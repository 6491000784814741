import { parseDuration } from '../go/duration.ts'
import {
  anything,
  duration,
  flag,
  given,
  int,
  list,
  oneOf,
  struct,
  table,
  text,
  texts,
  type Of,
  type Shape,
} from './schema.ts'

export const strategies = ['rolling', 'canary', 'bluegreen', 'immediate'] as const
export type Strategy = (typeof strategies)[number]

// The sections of a fly.toml, in the present spelling. Fields that go to the machine unchanged have
// Fly's own names.

const unused =
  <T>(shape: Shape<T>): Shape<T> =>
  (value, at) => {
    at.warn(at.key, 'is not used by this builder.')
    return shape(value, at)
  }

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
  method: given.text,
  path: given.text,
  protocol: given.text,
  tls_skip_verify: given.flag,
  tls_server_name: given.text,
  headers: table(given.text),
})

const machineChecks = unused(
  list(
    struct({
      command: texts,
      image: text,
      entrypoint: texts,
      kill_signal: given.text,
      kill_timeout: duration,
    }),
  ),
)

const replayRule = struct({
  path_prefix: given.text,
  ttl_seconds: given.int,
  type: given.text,
  name: given.text,
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

const tlsOptions = struct({ alpn: texts, versions: texts, default_self_signed: given.flag })

const httpOptions = struct({
  compress: given.flag,
  response: struct({ headers: table(anything), pristine: given.flag }),
  h2_backend: given.flag,
  idle_timeout: given.uint32,
  headers_read_timeout: given.uint32,
  replay_cache: list(replayCache),
})

const autostop: Shape<boolean | string> = (value, at) =>
  typeof value === 'boolean'
    ? value
    : oneOf({ off: false, stop: true, suspend: 'suspend' })(value, at)

const anyService = {
  internal_port: int,
  auto_stop_machines: autostop,
  auto_start_machines: given.flag,
  min_machines_running: given.int,
  concurrency: struct({ type: text, hard_limit: int, soft_limit: int }),
  machine_checks: machineChecks,
  processes: texts,
}

const service = struct({
  ...anyService,
  protocol: text,
  ports: list(
    struct({
      port: given.int,
      start_port: given.int,
      end_port: given.int,
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

/** Also accepts the numbers of Fly's own protocol. */
const persistRootfs: Shape<string> = (value, at) => {
  const words = ['', 'never', 'restart', 'always']
  const word = typeof value === 'number' ? (words[value] ?? value) : value
  return (
    oneOf({ '': '', none: '', never: 'never', restart: 'restart', always: 'always' })(word, at) ||
    undefined
  )
}

/** The hardware of a machine. */
export const guest = {
  cpu_kind: text,
  cpus: int,
  memory_mb: int,
  max_memory_mb: int,
  gpus: int,
  gpu_kind: text,
  host_dedication_id: text,
  persist_rootfs: persistRootfs,
  kernel_args: texts,
}
const vm = struct({ ...guest, size: text, memory: text, processes: texts })
export type Vm = Of<typeof vm>

const mount = struct({
  source: text,
  destination: text,
  initial_size: text,
  snapshot_retention: given.int,
  scheduled_snapshots: unused(given.flag),
  auto_extend_size_threshold: int,
  auto_extend_size_increment: text,
  auto_extend_size_limit: text,
  processes: texts,
})
export type MountSection = Of<typeof mount>

/** `patchToml` has already read this field. */
const moved =
  (where: string): Shape<never> =>
  (_, at) =>
    at.warn(at.key, `is an old spelling of ${where}.`)

export const flyTomlShape = struct({
  app: text,
  primary_region: text,
  kill_signal: given.text,
  kill_timeout: duration,
  swap_size_mb: given.int,
  console_command: text,
  host_dedication_id: text,
  machine_config: text,
  container: text,
  env: table(given.text),
  processes: table(given.text),
  experimental: struct({
    cmd: texts,
    entrypoint: texts,
    exec: texts,
    auto_rollback: given.flag,
    enable_consul: given.flag,
    enable_etcd: given.flag,
    lazy_load_images: given.flag,
    attached: struct({ secrets: struct({ export: table(given.text) }) }),
    machine_config: text,
    kill_timeout: moved('kill_timeout at the top'),
    metrics_port: moved('port in [metrics]'),
    metrics_path: moved('path in [metrics]'),
  }),
  build: struct({
    builder: unused(text),
    args: table(given.text),
    buildpacks: unused(texts),
    image: text,
    settings: unused(table(anything)),
    builtin: unused(text),
    dockerfile: text,
    ignorefile: unused(text),
    'build-target': text,
    compose: struct({ file: text }),
    compression: oneOf({ '': '', gzip: 'gzip', zstd: 'zstd' }),
    compression_level: given.int,
  }),
  deploy: struct({
    strategy: oneOf<Strategy | undefined>({
      '': undefined,
      ...Object.fromEntries(strategies.map((name) => [name, name])),
    }),
    max_unavailable: given.number,
    wait_timeout: duration,
    release_command: text,
    release_command_timeout: duration,
    release_command_vm: vm,
    seed_command: unused(text),
  }),
  http_service: struct({
    ...anyService,
    force_https: flag,
    tls_options: tlsOptions,
    http_options: httpOptions,
    checks: list(struct(httpCheck(proxyTime))),
  }),
  services: list(service),
  checks: table(
    struct({
      ...httpCheck(duration),
      port: given.int,
      type: oneOf({ http: 'http', tcp: 'tcp' }),
      processes: texts,
    }),
  ),
  machine_checks: machineChecks,
  mounts: list(mount),
  vm: list(vm),
  files: list(
    struct({
      guest_path: text,
      local_path: text,
      secret_name: text,
      raw_value: text,
      processes: texts,
    }),
  ),
  statics: list(
    struct({ guest_path: text, url_prefix: text, tigris_bucket: text, index_document: text }),
  ),
  metrics: list(struct({ port: given.int, path: given.text, https: given.flag, processes: texts })),
  restart: list(
    struct({
      policy: oneOf({ always: 'always', never: 'no', 'on-failure': 'on-failure' }),
      retries: int,
      processes: texts,
    }),
  ),
})
export type Sections = Of<typeof flyTomlShape>
