import { asProblem, Problem } from '#api/problem.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { MachinesApi } from '#fly/machines-api.ts'

/** Only Flycast addresses are private: any other address can be reached from anywhere. */
export const isPublic = (ip: string): boolean => !/^fdaa:/i.test(ip)

/**
 * Reports or releases the public addresses of an app. Looks them up at once, and warns when the
 * deploy has succeeded. A failure here is only a warning: `deployed` alone decides.
 */
export async function checkPublicIps(
  {
    fly,
    app,
    policy,
    emit,
  }: {
    fly: MachinesApi
    app: string
    policy: 'report' | 'release'
    emit: EventSink
  },
  deployed: Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const warn = (text: string) => emit({ type: 'warning', text })
  const lookup = fly.ipAssignments(app, signal).catch(asProblem)
  await deployed
  const found = await lookup
  if (found instanceof Problem)
    return warn(
      `The gateway could not check whether the app has public addresses: ${found.message}`,
    )

  const ips = found.map(({ ip }) => ip).filter(isPublic)
  if (ips.length === 0) return
  const all = ips.join(', ')
  if (policy === 'report') return warn(`The app has public addresses: ${all}.`)
  const released = Promise.all(ips.map((ip) => fly.releaseIp(app, ip, signal)))
  await released.then(
    () => warn(`The app had public addresses, which were released: ${all}.`),
    (error: unknown) =>
      warn(
        `The app has public addresses, ${all}, which could not be released: ${asProblem(error).message}`,
      ),
  )
}
