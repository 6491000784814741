/** `npm run lab`: the whole lab in the foreground, until Ctrl-C. */
import { parseArgs } from 'node:util'
import { startLab } from './start-lab.ts'
import { errorMessage } from '#api/error-code.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8411' },
    dir: { type: 'string', default: '.lab' },
    env: { type: 'string', multiple: true, default: [] },
  },
})

/** `NAME=VALUE`: a setting of the gateway. */
function readSetting(given: string): [string, string] {
  const at = given.indexOf('=')
  if (at < 1) throw new Error(`--env is given as NAME=VALUE, not as ${given}`)
  return [given.slice(0, at), given.slice(at + 1)]
}

/** The labs of tests begin with another value. */
const productDefaults = { TARMAC_OWNERS: 'app-per-owner' }

// Registered first, so that a signal during the start stops the parts that exist.
const stop = Promise.withResolvers<void>()
let firstAt: number | null = null
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    firstAt ??= performance.now()
    // Ctrl-C comes twice at once: from the terminal, and from npm, which passes it on.
    if (performance.now() - firstAt > 1000) process.exit(130)
    stop.resolve()
  })
}

try {
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    settings: { ...productDefaults, ...Object.fromEntries(values.env.map(readSetting)) },
    say: (line) => console.log(line),
  })
  console.log(
    'owners of an app have an app each, as in the product; to let them share one: --env TARMAC_OWNERS=shared-app',
  )
  console.log(`addresses and tokens are in ${lab.dir}/lab.json, logs beside it`)
  console.log('lab: ready')
  await stop.promise
  console.log('lab: stopping')
} catch (error) {
  console.error(`lab: ${errorMessage(error)}`)
  process.exitCode = 1
}
// Nothing of a stopped lab may keep this process alive.
process.exit()
