import { ConfigError, readConfig, type Config } from './config.ts'
import { startGateway } from './gateway.ts'

/** The process: read the settings, start, wait for a signal, stop. A second signal skips the waiting. */
let config: Config
try {
  config = readConfig(process.env)
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(2)
}

const gateway = await startGateway(config)
const stop = Promise.withResolvers<void>()
let signals = 0
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    if (++signals > 1) process.exit(130)
    stop.resolve()
  })
await stop.promise
await gateway[Symbol.asyncDispose]()
process.exit(0)
