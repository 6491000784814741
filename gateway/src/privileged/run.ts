import { join } from 'node:path'
import type { Config } from '../config.ts'
import { asUser } from '../host/child/as-user.ts'
import { spawnChild } from '../host/child/spawn-child.ts'
import { redactedLog } from '../secrets/redaction/redacted-log.ts'
import { answerCalls } from './handlers.ts'
import { ownData } from './own-data.ts'
import { serveCalls } from './serve.ts'

const socket = '/run/tarmac/privileged.sock'
const source = join(import.meta.dirname, '..')
const keepRunning = join(source, '../keep-running.sh')
/** Only root may raise it, and the gateway must answer while builds use all CPUs. */
const priority = ['nice', '-n', '-10']

/**
 * Runs the gateway as another user, and stays as root beside it for the build daemon, the firewall
 * and the sandbox. The gateway gets this environment. Returns its exit code.
 */
export async function runPrivileged(config: Config, env: NodeJS.ProcessEnv): Promise<number> {
  const { uid, data, buildkit } = config
  await ownData(data, uid, buildkit.root)
  await using opening = new AsyncDisposableStack()
  const { on } = opening.use(await serveCalls(socket, uid))
  answerCalls({ on, opening }, config, redactedLog(config.logLevel))

  const given = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  const main = [process.execPath, ...process.execArgv, join(source, 'main.ts')]
  const { child, ended, cutLifeline } = spawnChild({
    command: '/bin/sh',
    args: [keepRunning, ...priority, ...asUser(uid), ...main],
    env: { ...given, TARMAC_PRIVILEGED: socket },
    cwd: join(source, '../..'),
    stdin: 'ignore',
    stdio: 'inherit',
    outputs: 0,
    end: 'terminate',
  })
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => child.kill(name))
  const { exitCode } = await ended
  cutLifeline()
  return exitCode ?? 1
}
