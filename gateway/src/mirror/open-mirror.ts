import type { Config } from '../config.ts'
import { ownMachine } from '../host/own-machine.ts'
import type { Logger } from '../log.ts'
import type { Registry } from '../registry/registry.ts'
import { basicOf } from '../registry/token-request.ts'
import { type Mirror, noMirror, OpenMirror } from './mirror.ts'

const times = { connectMs: 3000, answerMs: 30_000, windowMs: 10_000 }
const breaker = { maxFailures: 3, pauseMs: 5 * 60_000, probeMs: 60_000 }

/** Opens the way through the mirror that the settings ask for. `port`: of the proxy, if any. */
export async function openMirror(
  config: Config,
  registry: Registry,
  log: Logger,
  opening: AsyncDisposableStack,
): Promise<{ mirror: Mirror; ports: number[] }> {
  const { url, origin, port, minBytesPerS, copyMs } = config.mirror
  const own = await ownMachine(config.machine)
  if (url === 'off') return { mirror: noMirror('TARMAC_PUSH_MIRROR is off.'), ports: [] }
  if (url === 'auto' && own === null)
    return { mirror: noMirror('The gateway does not run in a machine of Fly.'), ports: [] }

  const login = { username: 'x', password: config.secrets.fly }
  const mirror = opening.use(
    await OpenMirror.open(
      {
        mirror: {
          origin,
          registry: config.registry,
          authorization: () => basicOf(login) ?? '',
        },
        port,
        limits: { ...times, minBytesPerS },
        app: config.machine.app || null,
        machine: own?.id ?? null,
        copyMs,
        ...breaker,
      },
      { registry, log },
    ),
  )
  return { mirror, ports: [mirror.port] }
}
