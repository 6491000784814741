import type { Drain } from '../drain.ts'
import type { Submissions } from '../submissions.ts'
import { changeEnv, listEnv } from './change-env.ts'
import { changeSecrets, deploySecrets, listSecrets, type RuntimeDeps } from './change-secrets.ts'
import type { RuntimeCommands } from './runtime-commands.ts'

type OpenDeps = Pick<RuntimeDeps, 'fly' | 'deployer' | 'store'> & {
  submissions: Submissions
  drain: Drain
  runner: { cancel: RuntimeDeps['cancel'] }
}

/** For calls to Fly while a caller waits. */
const callTimeoutMs = 120_000

/** The commands about secrets and variables of an app's machines. */
export function openRuntime({
  fly,
  deployer,
  store,
  submissions,
  drain,
  runner,
}: OpenDeps): RuntimeCommands {
  const cancel: RuntimeDeps['cancel'] = (id, request) => runner.cancel(id, request)
  const deps = () => ({
    fly,
    deployer,
    store,
    submissions,
    cancel,
    signal: AbortSignal.timeout(callTimeoutMs),
  })
  return {
    secrets: (_caller, target) => listSecrets(target, deps()),
    changeSecrets: drain.whileOpen((caller, target, change) =>
      changeSecrets(caller, target, change, deps()),
    ),
    deploySecrets: drain.whileOpen((caller, target) => deploySecrets(caller, target, deps())),
    env: (_caller, app) => listEnv(app, deps()),
    changeEnv: drain.whileOpen((caller, app, change) => changeEnv(caller, app, change, deps())),
  }
}
