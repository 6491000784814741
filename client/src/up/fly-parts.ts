import { BuilderApi } from '#fly/builder-api.ts'
import { fetchTransport, type Transport } from '#fly/transport.ts'
import { MachinesApi } from '#fly/machines-api.ts'

/** What every step of `up` and `down` needs. */
export type FlyParts = {
  machines: MachinesApi
  builder: BuilderApi
  /** Called with each thing done, for people. */
  report: (text: string) => void
  signal: AbortSignal
}

const defaultFlaps = 'https://api.machines.dev'

/** Fly's API, at the address that flyctl uses too. Source: fly.md 3.14. */
export function openFly(
  {
    env,
    token,
    transport = fetchTransport(),
  }: {
    env: Record<string, string | undefined>
    token: string
    transport?: Transport
  },
  { report, signal }: Pick<FlyParts, 'report' | 'signal'>,
): FlyParts {
  const endpoint = { baseUrl: env['FLY_FLAPS_BASE_URL'] || defaultFlaps, token, transport }
  return {
    machines: new MachinesApi(endpoint),
    builder: new BuilderApi(endpoint),
    report,
    signal,
  }
}
