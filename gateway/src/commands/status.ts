import { asProblem } from '#api/problem.ts'
import type { Unknown } from '#api/status/part.ts'
import { type GatewayStatus, type PartName, partNames } from '#api/status/status.ts'
import { unlessAborted } from '#api/flow/retry.ts'

type Facts<Part extends PartName> = Exclude<GatewayStatus[Part], Unknown | undefined>

/**
 * How each part of the status is read. Null: there is no such part here. A reader is called for
 * each request, so it keeps its own cache when its facts take more than a millisecond. Its error
 * makes the part unknown.
 */
export type StatusReaders = {
  [Part in PartName]?: () => Facts<Part> | null | Promise<Facts<Part> | null>
}

export type StatusDeps = {
  version: string
  startedAt: Date
  readers: StatusReaders
  /** How long a part may take before the status says that it is unknown. */
  partMs?: number
}

/** The state of the gateway and its machine, for people and programs. Never fails as a whole. */
export async function gatewayStatus({
  version,
  startedAt,
  readers,
  partMs = 1000,
}: StatusDeps): Promise<GatewayStatus> {
  const parts = await Promise.all(
    partNames.map(async (name) => [name, await readPart(readers[name], partMs)] as const),
  )
  const now = new Date()
  return {
    version,
    at: now.toISOString(),
    startedAt: startedAt.toISOString(),
    uptimeSeconds: Math.round((now.getTime() - startedAt.getTime()) / 1000),
    ...Object.fromEntries(parts.filter(([, facts]) => facts !== null)),
  }
}

async function readPart(
  read: (() => object | null | Promise<object | null>) | undefined,
  partMs: number,
): Promise<object | null> {
  const late = AbortSignal.timeout(partMs)
  try {
    return read ? await unlessAborted(Promise.resolve().then(read), late) : null
  } catch (error) {
    const unknown = late.aborted ? `no answer within ${partMs / 1000} s` : asProblem(error).message
    return { unknown }
  }
}
