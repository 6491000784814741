/** The Debian tree under every stand-in image: debootstrapped, thinned, told what this machine knows of certificates and proxies, as one tar. */
import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { debian } from '../pins.ts'
import { caBundle, cacheDir, debianTree } from '../ready.ts'
import { aptConf, debianMirror, pipConf } from './machine-settings.ts'
import type { Step } from './progress.ts'

const unneeded = ['/usr/share/doc', '/usr/share/man', '/usr/share/locale', '/usr/share/info']

export async function makeDebianTree({ say, run }: Step): Promise<void> {
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    const tree = join(made, 'tree')
    say(`debootstrap ${debian.suite}`)
    const include = `--include=${debian.include.join(',')}`
    await run([
      'debootstrap',
      '--variant=minbase',
      include,
      debian.suite,
      tree,
      ...(await debianMirror()),
    ])
    for (const path of [...unneeded, '/var/cache/apt', '/var/lib/apt/lists']) {
      await rm(join(tree, path), { recursive: true, force: true })
    }
    await writeFile(
      join(tree, 'etc/dpkg/dpkg.cfg.d/thin'),
      unneeded.map((path) => `path-exclude ${path}/*\n`).join(''),
    )
    await cp(caBundle, join(tree, caBundle))
    await writeFile(join(tree, 'etc/pip.conf'), await pipConf())
    await writeFile(join(tree, 'etc/apt/apt.conf.d/90machine'), await aptConf())
    say('packing the tree')
    const tar = join(made, 'tree.tar')
    await run([
      'tar',
      '--create',
      '--numeric-owner',
      '--sort=name',
      '--file',
      tar,
      '--directory',
      tree,
      '.',
    ])
    await rename(tar, debianTree)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}
