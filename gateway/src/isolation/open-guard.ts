import { join } from 'node:path'
import type { Buildkit } from '../buildkit/client.ts'
import { gatewayVersion } from '../host/gateway-version.ts'
import type { Logger } from '../log.ts'
import type { BuildNetwork } from './firewall.ts'
import { NetworkGuard } from './guard.ts'
import { verifyIsolation } from './probe.ts'
import { ProofNote } from './proof-note.ts'

type GuardParts = {
  buildkit: Buildkit
  /** The id of the current daemon, or null. */
  daemonId: () => string | null
  /** Ports of the gateway that no build step may reach. */
  ports: readonly number[]
  /** Id of this boot of the machine. Empty: unknown. */
  boot: string
  /** Called with the version of the daemon before each proof. */
  found: (daemon: { version: string }) => void
  log: Logger
}

/** Watches the isolation of build steps. `data` is the data volume. */
export function openGuard(
  { data, buildNetwork }: { data: string; buildNetwork: BuildNetwork },
  { buildkit, daemonId, ports, boot, found, log }: GuardParts,
): NetworkGuard {
  const note = new ProofNote(join(data, 'isolation.json'))
  const setup = (daemon: string) =>
    JSON.stringify([daemon, boot.trim(), gatewayVersion(), buildNetwork, ports])
  return NetworkGuard.start({
    async prove(signal) {
      found(await buildkit.info(signal))
      return verifyIsolation(buildkit, { ...buildNetwork, ports }, signal)
    },
    daemon: daemonId,
    earlier: (daemon) => (boot === '' ? null : note.read(setup(daemon))),
    proven: (daemon, detail) => note.write(setup(daemon), detail),
    failed: () => note.remove(),
    log,
  })
}
