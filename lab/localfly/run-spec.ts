import type { RunSpec } from './containers.ts'
import type { Machine } from './state.ts'

/** How the container of a machine runs. */
export function runSpec(
  machine: Machine,
  image: string,
): Omit<RunSpec, 'mounts' | 'logFile' | 'firewall'> {
  const { init, guest } = machine.config
  return {
    name: machine.id,
    image,
    address: machine.private_ip,
    env: runtimeEnv(machine),
    cpus: guest?.cpus ?? 1,
    memoryMb: guest?.memory_mb ?? 256,
    swapMb: init?.swap_size_mb ?? 0,
    tty: init?.tty ?? false,
    entrypoint: init?.exec ?? init?.entrypoint ?? undefined,
    command: init?.exec ? [] : (init?.cmd ?? undefined),
  }
}

function runtimeEnv(machine: Machine): Record<string, string> {
  const { id, region, config, image_ref: image } = machine
  return {
    PRIMARY_REGION: region,
    ...config.env,
    ...machine.own.secrets,
    FLY_APP_NAME: machine.own.app,
    FLY_MACHINE_ID: id,
    FLY_ALLOC_ID: id,
    FLY_REGION: region,
    FLY_IMAGE_REF: `${image.registry}/${image.repository}@${image.digest}`,
    FLY_MACHINE_VERSION: machine.instance_id,
    FLY_PRIVATE_IP: machine.private_ip,
    FLY_PROCESS_GROUP: config.metadata?.['fly_process_group'] ?? '',
    FLY_VM_MEMORY_MB: String(config.guest?.memory_mb ?? 256),
  }
}
