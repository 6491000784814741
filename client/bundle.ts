import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

/** Of `z` as an object of Zod all is kept, 400 kB more; of a namespace only what is used. */
const zodInParts: Plugin = {
  name: 'zod-in-parts',
  setup(bundling) {
    bundling.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const contents = text.replace("import { z } from 'zod'", "import * as z from 'zod'")
      return { contents, loader: 'ts' }
    })
  },
}

/**
 * Node's own modules by `require`: an `import` reads all that they export, and `node:http` exports
 * things that load the whole of `fetch`.
 */
const nodeByRequire: Plugin = {
  name: 'node-by-require',
  setup(bundling) {
    bundling.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'require-call' ? null : { path, namespace: 'node' },
    )
    bundling.onLoad({ filter: /./, namespace: 'node' }, ({ path }) => ({
      contents: `module.exports = require('${path}')`,
    }))
  },
}

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
  plugins: [zodInParts, nodeByRequire],
  // Packages written for require() ask for Node's own modules by it.
  banner: {
    js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
  },
  logLevel: 'warning',
})
await chmod(outfile, 0o755)
console.log(outfile)
