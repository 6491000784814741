import type { BuildNetwork } from '../isolation/firewall.ts'
import { applyFirewallRules } from '../isolation/firewall.ts'
import { openLookupNetwork } from '../isolation/planner-network.ts'
import { startDaemon } from '../buildkit/daemon/start-daemon.ts'
import { stopLargestStep } from '../buildkit/daemon/step-writes.ts'
import { StepWatch } from '../buildkit/steps/step-watch.ts'
import type { Config } from '../config.ts'
import { calls } from '../host/privileged/calls.ts'
import { runInSandbox, sandboxKind } from '../host/sandbox/sandbox.ts'
import type { Logger } from '../log.ts'
import { plannerReads } from '../railpack/plan-variables.ts'
import { miseFolder, searchPath } from '../railpack/prepare.ts'
import { assertPlannerCall } from './planner-call.ts'
import type { Answering } from './serve.ts'

/** Does what needs root, for the calls of the gateway. The daemon starts at once. */
export function answerCalls(
  { on, opening }: { on: Answering; opening: AsyncDisposableStack },
  config: Config,
  log: Logger,
): void {
  const { data, buildkit, buildNetwork, railpack } = config
  const { root } = buildkit

  let daemon: ReturnType<typeof startDaemon> | null = null
  const running = () => {
    daemon ??= startDaemon(config, log).catch((error: unknown) => {
      daemon = null // the next call tries again
      throw error
    })
    return daemon
  }
  running().catch(() => {}) // the gateway asks for it soon, and gets the error
  opening.defer(async () => (await daemon?.catch(() => null))?.[Symbol.asyncDispose]())
  opening.use(new StepWatch(root))
  on(calls.daemon, async () => (await running()).address)
  on(calls.restartDaemon, async () => {
    await (await running()).restart()
    return null
  })
  on(calls.stopLargestStep, (by) => stopLargestStep({ command: config.daemon.command, root }, by))
  on(calls.firewall, () => applyFirewallRules(networkOf(config)))

  let lookups: ReturnType<typeof openLookupNetwork> | null = null
  opening.defer(async () => (await lookups?.catch(() => null))?.[Symbol.asyncDispose]())
  on(calls.lookups, async () => {
    lookups ??= openLookupNetwork(data, buildNetwork)
    const { namespace, readOnlyMounts } = await lookups.catch((error: unknown) => {
      lookups = null // the next call tries again
      throw error
    })
    return { namespace, readOnlyMounts }
  })

  on(calls.sandboxKind, sandboxKind)
  on(calls.sandbox, async (request, signal) => {
    const network = (await lookups?.catch(() => null)) ?? null
    const mayRead = [data, railpack, miseFolder, ...Object.values(network?.readOnlyMounts ?? {})]
    const namespace = network?.namespace ?? null
    const variables = plannerReads
    assertPlannerCall(request, { railpack, searchPath, variables, mayRead, namespace })
    return runInSandbox(request, signal)
  })
}

const networkOf = ({ buildNetwork: { bridge, dns, allow } }: Config): BuildNetwork => ({
  bridge,
  dns,
  allow,
})
