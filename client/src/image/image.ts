import { randomUUID } from 'node:crypto'
import type { DeploymentOptions } from '#api/options.ts'
import { followToEnd } from '../follow-deployment.ts'
import type { Gateway } from '../gateway.ts'
import { leaveOrCancel } from '../interrupt.ts'
import type { Printer } from '../print.ts'
import type { ImageCommand } from './read-image.ts'

type ImageRequest = Pick<ImageCommand, 'app' | 'source' | 'detach'> & {
  options: Partial<DeploymentOptions>
}

/** Deploys an image that exists, and follows the deployment to its end. Returns the exit code. */
export async function deployImage(
  { app, source, options, detach }: ImageRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const deployment = await gateway.deployImage(app, { source, ...options }, randomUUID())
  const address = gateway.recordUrl(deployment.id)
  printer.accepted(deployment, address)
  const onInterrupt = (id: string) => leaveOrCancel(id, gateway, printer, signal)
  if (signal.aborted) return printer.interrupted(await onInterrupt(deployment.id))
  if (detach) return printer.detached(deployment, address)
  return followToEnd(deployment, gateway, printer, { signal, onInterrupt })
}
