import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { lower } from './compare.ts'

/** npm's list of what it has installed. */
const Installed = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      license: z.string().optional().catch(undefined),
      dev: z.boolean().optional(),
    }),
  ),
})

/** `integrity`: the digest in the lock file. */
export type NpmPackage = {
  name: string
  version: string
  integrity: string | null
  license: string | null
}

/** `copies`: how many of it are installed; `version` is the lowest. */
type InstalledPackage = { version: string; hasDigest: boolean; copies: number }

/**
 * The npm packages that are installed below this folder, without those of development. A package
 * may be there twice. Empty if npm did not install them.
 */
export function npmPackages(root: string): NpmPackage[] {
  return Object.entries(listOf(root)).flatMap(([path, facts]) => {
    const { version, integrity = null, license = null, dev } = facts
    if (version === undefined || dev === true) return []
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    return { name, version, integrity, license }
  })
}

/** The same by name. */
export function installedPackages(root: string): Map<string, InstalledPackage> {
  const found = new Map<string, InstalledPackage>()
  for (const { name, version, integrity } of npmPackages(root)) {
    const known = found.get(name)
    found.set(name, {
      version: known ? lower(known.version, version) : version,
      hasDigest: integrity !== null && (known?.hasDigest ?? true),
      copies: (known?.copies ?? 0) + 1,
    })
  }
  return found
}

function listOf(root: string): z.infer<typeof Installed>['packages'] {
  try {
    const text = readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')
    return Installed.parse(JSON.parse(text)).packages
  } catch {
    return {} // another package manager, or a damaged list: the versions are not known
  }
}
