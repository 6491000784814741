/**
 * Prepares this machine for the lab: Debian packages, Go tools, base images, each only when it is
 * missing.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stepWithReason } from './first-error.ts'
import { installDebianPackages } from './make/debian-packages.ts'
import { withLock } from './make/lock.ts'

const { values } = parseArgs({ options: { quiet: { type: 'boolean', default: false } } })

try {
  await installDebianPackages()
  await makeAll()
} catch (error) {
  console.error(`lab/setup: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}

async function makeAll(): Promise<void> {
  // Loaded only now: the cache's folder names depend on the certificates that a package just
  // installed.
  const { applianceImagesDir, cacheDir, clientRuntimes, imagesDir, tools } =
    await import('./ready.ts')
  const made = [tools.dir, imagesDir, applianceImagesDir, clientRuntimes.dir]
  if (!made.every((dir) => existsSync(dir))) {
    await mkdir(cacheDir, { recursive: true })
    await withLock(join(cacheDir, 'lock'), () => makeMissing(cacheDir))
  }
  if (!values.quiet) console.log(`lab: set up (tools and images in ${cacheDir})`)
}

/** Only one set-up at a time runs this. An incomplete folder therefore belongs to a dead one. */
async function makeMissing(cacheDir: string): Promise<void> {
  const { applianceImagesDir, clientRuntimes, debianTree, imagesDir, tools } =
    await import('./ready.ts')
  const { makeApplianceImages } = await import('./make/appliance-images.ts')
  const { makeBaseImages } = await import('./make/base-images.ts')
  const { makeClientRuntimes } = await import('./make/client-runtimes.ts')
  const { makeDebianTree } = await import('./make/debian-tree.ts')
  const { makeGoTools } = await import('./make/go-tools.ts')
  const { sweepBuildkitd } = await import('./parts/buildkitd.ts')
  const { unmountBelow } = await import('./parts/mounts.ts')
  const { killRecorded } = await import('./parts/process.ts')
  for (const name of (await readdir(cacheDir)).filter((name) => name.startsWith('making-'))) {
    killRecorded(join(cacheDir, name))
    await sweepBuildkitd(join(cacheDir, name))
    await unmountBelow(join(cacheDir, name)) // debootstrap mounts /proc
    await rm(join(cacheDir, name), { recursive: true })
  }
  const hasImages = existsSync(imagesDir) && existsSync(applianceImagesDir)
  const needsTree = !hasImages && !existsSync(debianTree)
  const made = await Promise.allSettled([
    existsSync(tools.dir) || stepWithReason('tools', makeGoTools),
    existsSync(clientRuntimes.dir) || stepWithReason('runtimes', makeClientRuntimes),
    !needsTree || stepWithReason('debian', makeDebianTree),
  ])
  for (const result of made) if (result.status === 'rejected') throw result.reason
  if (!existsSync(imagesDir)) await stepWithReason('images', makeBaseImages)
  if (!existsSync(applianceImagesDir)) await stepWithReason('appliance images', makeApplianceImages)
}
