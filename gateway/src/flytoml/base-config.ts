import { errorMessage } from '#api/error-code.ts'
import type { MachineConfig } from '#fly/machine.ts'
import { parseJson } from '../host/parse-json.ts'
import type { ReadSource } from '../host/read-source-file.ts'
import { sourceText } from '../host/source-text.ts'
import { plain } from './formats/parse-toml.ts'
import { refuseReservedMetadata } from './reserved.ts'
import { guest, type Sections } from './sections.ts'
import {
  anything,
  flag,
  keepZero,
  int,
  list,
  refuse,
  struct,
  table,
  text,
  texts,
  type Of,
  type Place,
  type Shape,
} from './schema.ts'

/**
 * `machine_config`, at the top or in [experimental]: JSON, or the path of a JSON file. Ignores
 * fields that fly.toml has a section for.
 */
export function baseConfig(
  file: Sections,
  readFile: ReadSource,
  warn: Place['warn'],
): MachineConfig {
  const key = file.experimental?.machine_config ? 'experimental.machine_config' : 'machine_config'
  const setting = file.experimental?.machine_config ?? file.machine_config
  if (setting === undefined) return {}

  const json = setting.startsWith('{')
    ? setting
    : setting.endsWith('.json')
      ? textOf(setting, readFile)
      : undefined
  if (json === undefined)
    return refuse(key, 'must be a JSON object, or the path of a .json file in the source.')

  const { metadata, init, ...base } =
    machineShape(plain(parse(key, json), key), { key, warn }) ?? {}
  if (metadata) refuseReservedMetadata(key, metadata)
  const containers = base.containers && selectContainer(key, base.containers, file.container)
  return {
    ...base,
    ...(metadata && { metadata }),
    init: init ?? {},
    ...(containers && { containers }),
  }
}

function textOf(path: string, readFile: ReadSource): string | undefined {
  const bytes = readFile(path)
  return bytes ? sourceText(bytes, path, 'fly-config-invalid') : undefined
}

function parse(key: string, json: string): unknown {
  try {
    return parseJson(json)
  } catch (error) {
    return refuse(key, `is not valid JSON: ${errorMessage(error)}.`)
  }
}

/** Gives the image to the named container, else to "app", else to the first. */
function selectContainer(
  key: string,
  containers: Container[],
  named: string | undefined,
): Container[] {
  const selected =
    containers.find(({ name }) => name === (named ?? 'app')) ??
    (named === undefined ? containers[0] : undefined)
  if (!selected)
    return refuse('container', `names '${named}', which is none of the containers in ${key}.`)
  return containers.map((one) => {
    if (one !== selected && !one.image)
      return refuse(`${key}.containers`, `must have an image for '${one.name}'.`)
    return Object.assign({ name: '' }, one, one === selected && { image: '.' })
  })
}

/** The gateway makes standbys itself. It takes a machine that names another for its standby. */
const ownStandbys: Shape<never> = (_, at) =>
  at.warn(at.key, 'is ignored: the gateway creates standbys itself.')

/** fly.toml has a section for this field. */
const elsewhere: Shape<never> = (_, at) =>
  at.warn(at.key, 'is ignored: write it in a section of fly.toml.')

const parts = list(anything)
const process = {
  exec: texts,
  entrypoint: texts,
  cmd: texts,
  user: text,
  env: table(keepZero.text),
  secrets: parts,
  env_from: parts,
}

const container = struct({
  ...process,
  name: text,
  image: text,
  files: parts,
  restart: anything,
  stop: anything,
  depends_on: parts,
  healthchecks: parts,
  mounts: parts,
})
type Container = Of<typeof container>

const machineShape = struct({
  init: struct({
    tty: flag,
    kernel_args: texts,
    exec: elsewhere,
    entrypoint: elsewhere,
    cmd: elsewhere,
    swap_size_mb: elsewhere,
  }),
  guest: struct(guest),
  metadata: table(keepZero.text),
  image: text,
  schedule: text,
  auto_destroy: flag,
  dns: struct({
    skip_registration: flag,
    nameservers: texts,
    searches: texts,
    options: parts,
    dns_forward_rules: parts,
    hostname: text,
    hostname_fqdn: text,
  }),
  processes: list(struct({ ...process, ignore_app_secrets: flag })),
  standbys: ownStandbys,
  containers: list(container),
  volumes: parts,
  rootfs: struct({ persist: guest.persist_rootfs, size_gb: int }),
  cache_drive: struct({ size_mb: int }),
  spot: struct({ max_price_fraction: keepZero.number }),
  size: text,
  disable_machine_autostart: keepZero.flag,
  env: elsewhere,
  services: elsewhere,
  checks: elsewhere,
  mounts: elsewhere,
  statics: elsewhere,
  metrics: elsewhere,
  files: elsewhere,
  restart: elsewhere,
  stop_config: elsewhere,
})
