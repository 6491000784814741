import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const dependency = {
  'node_modules/ms': {
    version: '2.1.3',
    integrity:
      'sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==',
  },
}

/**
 * Makes a Node app with this many files, the same for the same seed: some folders deep, most files
 * of 1 to 8 KiB, one dependency.
 */
export async function makeSampleApp(root: string, files: number, seed = 0): Promise<void> {
  const about = {
    name: 'sample',
    type: 'module',
    main: 'server.js',
    dependencies: { ms: '^2.1.3' },
  }
  const lock = {
    name: 'sample',
    lockfileVersion: 3,
    requires: true,
    packages: { '': about, ...dependency },
  }
  const known: [string, string][] = [
    ['package.json', JSON.stringify(about, null, 2)],
    ['package-lock.json', JSON.stringify(lock, null, 2)],
    [
      'server.js',
      "import { createServer } from 'node:http'\ncreateServer((_, r) => r.end('ok')).listen(process.env.PORT)\n",
    ],
  ]
  const others = Array.from(
    { length: files - known.length },
    (_, n) => [modulePath(n), moduleText(n + seed)] as const,
  )
  for (const [path, text] of [...known, ...others]) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
}

/** Changes one module of the app, differently in each `round`. */
export const editSampleApp = (root: string, round: number): Promise<void> =>
  writeFile(
    join(root, modulePath(0)),
    `${moduleText(0)}export const round = ${round} // ${'-'.repeat(round % 997)}\n`,
  )

export async function pack(root: string, archive: string): Promise<void> {
  await run('tar', ['-czf', archive, '-C', root, '.'])
}

const modulePath = (n: number): string =>
  `src/part-${n % 20}/unit-${Math.floor(n / 400)}/module-${n}.js`

function moduleText(n: number): string {
  let seed = (n % 0x7fff_fffe) + 1
  const next = () => (seed = (seed * 48_271) % 0x7fff_ffff)
  const lines = Array.from(
    { length: 20 + (next() % 140) },
    (_, line) => `export const value${line} = ${next()} + ${next()}`,
  )
  return `${lines.join('\n')}\n`
}
