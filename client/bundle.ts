import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'

/** `npm run build:client`: the client in one file, `client/bin/tarmac`, for any machine with Node 20.10 or newer. */
const outfile = join(import.meta.dirname, 'bin/tarmac')
await build({
  entryPoints: [join(import.meta.dirname, 'src/main.ts')],
  outfile,
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // Packages written for require() ask for Node's own modules by it.
  banner: {
    js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
  },
  logLevel: 'warning',
})
await chmod(outfile, 0o755)
console.log(outfile)
