/** A real registry on loopback, over plain HTTP, optionally with the stand-in base images. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { applianceImagesDir, assertReady, imagesDir, tools } from '../ready.ts'
import { killRecorded, startProcess } from './process.ts'

const run = promisify(execFile)

export interface Registry extends AsyncDisposable {
  /** host:port */
  address: string
}

export interface RegistryOptions {
  /** The lab's folder. Images are in its `registry/`. */
  dir: string
  port: number
  /** Also serve the stand-in base images. */
  images?: boolean
  /** Ask for a login: a line of an htpasswd file, with bcrypt. */
  htpasswd?: string
}

export async function startRegistry({
  dir,
  port,
  images = false,
  htpasswd,
}: RegistryOptions): Promise<Registry> {
  const kept = images ? [imagesDir, applianceImagesDir] : []
  assertReady(tools.registry, ...kept)
  killRecorded(dir, 'registry')
  const storage = join(dir, 'registry')
  await mkdir(storage, { recursive: true })
  for (const from of kept) await addImages(storage, from)
  const address = `127.0.0.1:${port}`
  const config = join(dir, 'registry.yml')
  const users = join(dir, 'htpasswd')
  if (htpasswd !== undefined) await writeFile(users, `${htpasswd}\n`)
  const auth = `auth: {htpasswd: {realm: lab, path: ${JSON.stringify(users)}}}\n`
  await writeFile(
    config,
    `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${JSON.stringify(storage)}}, delete: {enabled: true}}
http: {addr: "${address}"}
${htpasswd === undefined ? '' : auth}`,
  )
  const registry = await startProcess({
    name: 'registry',
    dir,
    port,
    command: [tools.registry, 'serve', config],
    env: { OTEL_TRACES_EXPORTER: 'none' },
    isReady: async () =>
      (
        await fetch(`http://${address}/v2/`, { signal: AbortSignal.timeout(2_000) }).catch(
          () => undefined,
        )
      )?.status === (htpasswd === undefined ? 200 : 401),
    readyMs: 20_000,
  })
  return { address, [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose]() }
}

/**
 * Blobs are hard links into the cache, because the registry writes a blob only once. It rewrites
 * its small files in place, so those are copied.
 */
async function addImages(storage: string, images: string): Promise<void> {
  const marker = join(storage, `.${basename(images)}`)
  if (existsSync(marker)) return
  const [from, to] = [join(images, 'docker/registry/v2'), join(storage, 'docker/registry/v2')]
  await mkdir(to, { recursive: true })
  await run('cp', ['-alf', join(from, 'blobs'), to]).catch(() =>
    run('cp', ['-a', join(from, 'blobs'), to]),
  )
  await run('cp', ['-a', join(from, 'repositories'), to])
  await writeFile(marker, '')
}
