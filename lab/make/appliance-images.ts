/**
 * Builds the stand-ins for the images that `gateway/Dockerfile` begins with. They are kept apart from
 * the base images of apps, so that a change of the planner remakes only these.
 */
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { applianceImages, applianceTarballs } from '../pins.ts'
import { standInScript } from '../planner/find.ts'
import { applianceImagesDir, tools } from '../ready.ts'
import { linkDebianTree, makeImages, unpackNode } from './base-images.ts'
import type { Step } from './progress.ts'

const programs = [
  'buildkitd',
  'buildctl',
  'buildkit-runc',
  'buildkit-cni-bridge',
  'buildkit-cni-loopback',
  'buildkit-cni-host-local',
  'buildkit-cni-firewall',
]

export const makeApplianceImages = (step: Step): Promise<void> =>
  makeImages({ kept: applianceImagesDir, images: applianceImages, prepare: prepareContext }, step)

async function prepareContext(context: string, step: Step): Promise<void> {
  await linkDebianTree(context)
  await cp(join(import.meta.dirname, '../images/appliance'), context, { recursive: true })
  await unpackNode(context, applianceTarballs, step)
  await mkdir(join(context, 'buildkit'))
  for (const program of programs)
    await cp(join(tools.dir, program), join(context, 'buildkit', program))
  // One file, because the planner's sandbox in the appliance shows no other file of the image but /usr.
  const railpack = join(context, 'railpack')
  await writeFile(railpack, `#!/usr/local/bin/node\n${await standInScript()}`)
  await chmod(railpack, 0o755)
}
