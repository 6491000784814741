import { z } from 'zod'
import { unsoldSize } from '#fly/sizes/guest-sizes.ts'
import { servedPorts } from '#fly/machine.ts'
import { graceMs } from '../machines/checks.ts'
import type { DesiredApp, DesiredGroup } from './desired-app.ts'

/** Warnings about groups whose variable PORT names a port that no service uses. */
export const portWarnings = (groups: Pick<DesiredGroup, 'name' | 'config'>[]): string[] =>
  groups.flatMap(({ name, config }) => {
    const ports = servedPorts(config)
    const port = config.env?.['PORT']
    if (port === undefined || ports.length === 0 || ports.includes(Number(port))) return []
    return [
      `The variable PORT of group ${name} is ${port.slice(0, 100)}, and internal_port is ${ports.join(', ')}. An app that listens on PORT cannot be reached. Make both the same, or leave PORT out: the gateway sets it to internal_port.`,
    ]
  })

/** Warnings about checks that give no result for as long as the gateway waits for one. */
export const graceWarnings = ({ groups }: DesiredApp, waitMs: number): string[] =>
  groups.flatMap(({ name, config }) => {
    const { checks = {}, services = [] } = config
    const all = [...Object.values(checks), ...services.flatMap((service) => service.checks ?? [])]
    const longestMs = Math.max(...all.map(graceMs))
    if (!(longestMs >= waitMs)) return []
    return [
      `A check of group ${name} has a grace_period of ${longestMs / 1000} s, and the gateway waits ${waitMs / 1000} s for its result: the deploy will fail. Make grace_period shorter, or [deploy] wait_timeout longer.`,
    ]
  })

/** As Fly's OpenAPI document lists them (`fly.StopConfig`). */
const signals = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGTERM']

/** Warnings about groups whose stop signal Fly does not take. */
export const signalWarnings = (groups: Pick<DesiredGroup, 'name' | 'config'>[]): string[] =>
  groups.flatMap(({ name, config }) => {
    const { signal } = StopConfig.parse(config['stop_config'])
    if (signal === undefined || signals.includes(signal)) return []
    return [
      `kill_signal of group ${name} is ${signal.slice(0, 100)}, which Fly does not take: it will refuse the machines. Fly takes ${signals.join(', ')}.`,
    ]
  })
const StopConfig = z.object({ signal: z.string().optional() }).catch({})

/** Warnings about groups whose memory does not fit their CPUs on Fly. */
export const memoryWarnings = (groups: Pick<DesiredGroup, 'name' | 'config'>[]): string[] =>
  groups.flatMap(({ name, config }) => {
    const unsold = unsoldSize(config.guest)
    if (!unsold) return []
    return [
      `Group ${name} asks for ${unsold.asked}, which Fly does not take: it will refuse the machines. ${unsold.sold}`,
    ]
  })
