import { readFileSync } from 'node:fs'

/** `source`: the package that a scanner finds advisories for, when it has another name. */
export type DebianPackage = {
  name: string
  version: string
  architecture: string
  source: string | null
}

/** The installed packages in a status file of dpkg (deb822, see dpkg(1) and deb-control(5)). */
export function debianPackages(status: string): DebianPackage[] {
  return status.split(/\n{2,}/).flatMap((paragraph) => {
    const fields = new Map(
      [...paragraph.matchAll(/^([A-Z][\w-]*): (.*)$/gm)].map(([, key = '', value = '']) => [
        key,
        value,
      ]),
    )
    const [name, version] = [fields.get('Package'), fields.get('Version')]
    const isInstalled = fields.get('Status')?.endsWith(' installed') ?? false
    if (!name || !version || !isInstalled) return []
    const source = fields.get('Source')?.replace(/ \(.*/, '') ?? null
    return { name, version, architecture: fields.get('Architecture') ?? 'all', source }
  })
}

/** Of this machine. Empty if it has no dpkg. */
export function installedDebianPackages(): DebianPackage[] {
  return debianPackages(textOf('/var/lib/dpkg/status'))
}

/** The distribution of this machine as a package URL names it: `debian-13`. */
export function distribution(): { id: string; name: string } {
  const lines = textOf('/etc/os-release').split('\n')
  const field = (key: string) =>
    lines
      .find((line) => line.startsWith(`${key}=`))
      ?.slice(key.length + 1)
      .replaceAll('"', '') ?? ''
  const id = field('ID') || 'debian'
  return { id, name: [id, field('VERSION_ID')].filter(Boolean).join('-') }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
