import { gzipSync } from 'node:zlib'
import type { Random } from '../random.ts'
import { deployHostile } from './answers.ts'
import { archiveOf, filesOf } from './archive.ts'
import type { Attack } from './attack.ts'

const mebibyte = 1 << 20

/** Attacks by an archive, or by a file in one. */
export const sourceAttacks: Record<string, Attack> = {
  'a gzip bomb': deploy(() =>
    gzipSync(filesOf({ bomb: Buffer.alloc(200 * mebibyte) }), { level: 9 }),
  ),
  'random bytes in a good archive': ({ lab, random }) => {
    const bytes = filesOf({ ...page, 'more.txt': 'x'.repeat(3000) })
    for (let n = 0; n < 5; n++) bytes[random.upTo(bytes.length - 1)] = random.upTo(255)
    return deployHostile(lab, appOf(random), bytes, 'deploy=false')
  },
  '50,000 files': deploy(() =>
    archiveOf(
      Array.from({ length: 50_000 }, (_, n) => ({ path: `d${n % 300}/file-${n}`, content: '' })),
    ),
  ),
  '9,000 links': deploy(() =>
    archiveOf([
      { path: 'a', content: 'x' },
      ...Array.from({ length: 9000 }, (_, n) => ({
        path: `l${n}`,
        type: 'SymbolicLink' as const,
        target: `l${n + 1}`,
      })),
    ]),
  ),
  'a path of many dots and slashes': deploy(() =>
    filesOf({ [`${'./'.repeat(40)}${'a/../'.repeat(30)}x`]: 'x' }),
  ),
  'ignore patterns of many stars': deploy(() =>
    filesOf({
      ...page,
      '.dockerignore': `${'*a'.repeat(140)}b\n${'**/'.repeat(80)}x\n`,
      ['a'.repeat(200)]: 'x',
    }),
  ),
  '20,000 ignore patterns': deploy(() => {
    const patterns = Array.from({ length: 20_000 }, (_, n) => `**/x${n}*y\n`).join('')
    const files = Array.from({ length: 500 }, (_, n) => [`d/x${n}`, ''])
    return filesOf({ ...page, '.dockerignore': patterns, ...Object.fromEntries(files) })
  }),
  'plan excludes of many stars': deploy(() =>
    filesOf({
      'package.json': '{}',
      'railpack.json': JSON.stringify({ exclude: ['*a'.repeat(140)] }),
    }),
  ),
  'a fly.toml of long durations': deploy(() => flyToml(`kill_timeout = "${'1h'.repeat(20_000)}x"`)),
  'a fly.toml of dotted names': deploy(() => flyToml(`${'a.'.repeat(20_000)}b = 1`)),
  'a fly.toml of nested arrays': deploy(() => flyToml(`a = ${'['.repeat(50_000)}`)),
  'a fly.toml of 3 MiB': deploy(() => flyToml(`# ${'x'.repeat(3 * mebibyte)}`)),
  'three files of 20 MiB for machines': deploy(() => {
    const entry = '[[files]]\nguest_path = "/x"\nlocal_path = "blob"\n'
    return filesOf({ ...page, blob: Buffer.alloc(20 * mebibyte), 'fly.toml': entry.repeat(3) })
  }),
  'marks of the gateway in a fly.toml': deploy(() =>
    flyToml(`[experimental]\nmachine_config = '{"metadata": {"tarmac_owner": "ada"}}'`),
  ),
  'a Dockerfile of 3 MiB': deploy(() =>
    filesOf({ Dockerfile: `FROM alpine\n# ${'x'.repeat(3 * mebibyte)}` }),
  ),
  'a syntax line of 100 kB': deploy(() =>
    filesOf({ Dockerfile: `# syntax=${' '.repeat(100_000)}x\nFROM alpine` }),
  ),
  'a package.json of 100,000 levels': deploy(() =>
    filesOf({ 'package.json': '['.repeat(100_000) }),
  ),
  'an image of nothing': deploy(() => filesOf({ Dockerfile: 'FROM scratch\nCMD ["x"]' })),
}

const page = { Dockerfile: 'FROM alpine\nCMD ["true"]\n' }
const flyToml = (text: string): Buffer => filesOf({ ...page, 'fly.toml': `${text}\n` })

/** Few apps, so that the queue of one app is exercised too. */
export const appOf = (random: Random): string => `hostile-${random.upTo(3)}`

/** An attack with an archive that is always the same. */
function deploy(make: () => Buffer): Attack {
  let archive: Buffer | undefined
  return ({ lab, random }) => {
    archive ??= make()
    return deployHostile(lab, appOf(random), archive, 'deploy=false&lane=fifo')
  }
}
