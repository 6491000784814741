#!/usr/bin/env node
import { Problem } from '#api/problem.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { serveFirst } from './host/priority.ts'
import { backup, restore } from './store/backup.ts'

const usage = `tarmac-gateway                start, and serve until a signal, or until idle (TARMAC_IDLE_STOP); a second signal ends it at once
tarmac-gateway backup FILE    copy the records into a new file, also while a gateway runs
tarmac-gateway restore FILE   put the records of this file in place; the earlier ones are kept beside them`

/** The command `tarmac-gateway`. Exits with 2 for a wrong use or setting, with 1 for a Problem. */
const [command, file, ...rest] = process.argv.slice(2)
if (
  rest.length > 0 ||
  (command !== undefined && (!file || !['backup', 'restore'].includes(command)))
)
  end(usage, 2)
try {
  const config = readConfig(process.env)
  if (!file) await serve(config)
  else if (command === 'backup') {
    backup(config.data, file)
    end(`The records of ${config.data} are in ${file}.`, 0)
  } else {
    const { previous } = restore(config.data, file)
    end(
      `The records of ${file} are restored${previous ? `; the previous records are in ${previous}` : ''}.`,
      0,
    )
  }
} catch (error) {
  if (error instanceof ConfigError) end(error.message, 2)
  if (error instanceof Problem) end([error.message, error.cause].filter(Boolean).join('\n'), 1)
  throw error
}

async function serve(config: Config): Promise<void> {
  serveFirst()
  const { startGateway } = await import('./gateway.ts') // here, because a backup does not need it
  const gateway = await startGateway(config)
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(130)
      stop.abort()
    })
  await gateway.untilIdle(stop.signal)
  await gateway[Symbol.asyncDispose]()
  process.exit(0)
}

function end(text: string, code: number): never {
  process[code === 0 ? 'stdout' : 'stderr'].write(`${text}\n`)
  process.exit(code)
}
