import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InternalNames } from './network/names.ts'
import { ownApiFolder } from './own-api.ts'
import type { Mount } from './containers.ts'
import type { FlyState, Machine } from './state.ts'

const defaultMode = 0o644

/**
 * The mounts of a machine beside its image: its volume, the files of its config, the names of its
 * network, and the folder of its own API.
 */
export function mountsOf(
  { state, names, ownApi }: { state: FlyState; names: InternalNames; ownApi: string },
  { id, config, own }: Machine,
): Mount[] {
  const folder = state.folder('files', id)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const files = (config.files ?? []).flatMap(
    ({ guest_path, raw_value, secret_name, mode }, index) => {
      const content = secret_name ? own.secrets[secret_name] : raw_value
      if (content === undefined || content === null) return []
      const source = join(folder, String(index))
      writeFileSync(source, Buffer.from(content, 'base64'))
      chmodSync(source, mode ?? defaultMode)
      return [{ source, target: guest_path }]
    },
  )
  const volumes = (config.mounts ?? []).map(({ volume, path }) => ({
    source: state.folder('volumes', volume ?? ''),
    target: path,
  }))
  return [
    { source: names.fileFor(own.app), target: '/etc/hosts' },
    { source: ownApi, target: ownApiFolder },
    ...volumes,
    ...files,
  ]
}

export function removeFiles(state: FlyState, { id }: Machine): void {
  rmSync(state.folder('files', id), { recursive: true, force: true })
}
