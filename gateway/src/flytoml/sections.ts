import { strategies, type Strategy } from '#api/options/strategy.ts'
import {
  anything,
  duration,
  keepZero,
  int,
  list,
  oneOf,
  struct,
  table,
  text,
  texts,
  unused,
  type Of,
  type Shape,
} from './schema.ts'
import { httpService, machineChecks, service, topCheck } from './service-sections.ts'

// The sections of a fly.toml, in the present spelling. Fields that go to the machine unchanged have
// Fly's own names.

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
  snapshot_retention: keepZero.int,
  scheduled_snapshots: unused(keepZero.flag),
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
  kill_signal: keepZero.text,
  kill_timeout: duration,
  swap_size_mb: keepZero.int,
  console_command: text,
  host_dedication_id: text,
  machine_config: text,
  container: text,
  env: table(keepZero.text),
  processes: table(keepZero.text),
  experimental: struct({
    cmd: texts,
    entrypoint: texts,
    exec: texts,
    auto_rollback: unused(keepZero.flag),
    enable_consul: unused(keepZero.flag),
    enable_etcd: unused(keepZero.flag),
    lazy_load_images: unused(keepZero.flag),
    attached: unused(struct({ secrets: struct({ export: table(keepZero.text) }) })),
    machine_config: text,
    kill_timeout: moved('kill_timeout at the top'),
    metrics_port: moved('port in [metrics]'),
    metrics_path: moved('path in [metrics]'),
  }),
  build: struct({
    builder: unused(text),
    args: table(keepZero.text),
    buildpacks: unused(texts),
    image: text,
    settings: unused(table(anything)),
    builtin: unused(text),
    dockerfile: text,
    ignorefile: text,
    'build-target': text,
    compose: struct({ file: text }),
    compression: oneOf({ '': '', gzip: 'gzip', zstd: 'zstd' }),
    compression_level: keepZero.int,
  }),
  deploy: struct({
    strategy: oneOf<Strategy | undefined>({
      '': undefined,
      ...Object.fromEntries(strategies.map((name) => [name, name])),
    }),
    max_unavailable: keepZero.number,
    wait_timeout: duration,
    release_command: text,
    release_command_timeout: duration,
    release_command_vm: vm,
    seed_command: unused(text),
  }),
  http_service: httpService,
  services: list(service),
  checks: table(topCheck),
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
  metrics: list(
    struct({ port: keepZero.int, path: keepZero.text, https: keepZero.flag, processes: texts }),
  ),
  restart: list(
    struct({
      policy: oneOf({ always: 'always', never: 'no', 'on-failure': 'on-failure' }),
      retries: int,
      processes: texts,
    }),
  ),
})
export type Sections = Of<typeof flyTomlShape>
