import { z } from 'zod'
import { AuditStatus } from '../callers/audit-status.ts'
import { AwakeStatus } from './awake.ts'
import { CacheStatus } from './cache.ts'
import { CostStatus } from './cost.ts'
import { DriftStatus } from '../drift/drift-status.ts'
import { DiskStatus } from './disk.ts'
import { FlyStatus } from '../machines/fly-status.ts'
import { ImagesStatus } from './images.ts'
import { MachineStatus } from './machine.ts'
import { MirrorStatus } from './mirror.ts'
import { partOf } from './part.ts'
import { PreviewsStatus } from '../previews/previews-status.ts'
import { QueueStatus } from './queue.ts'
import { SealingStatus } from '../sealing/sealing.ts'
import { SizesStatus } from './sizes.ts'
import { Versions } from './versions.ts'

/** The parts of the status, in the order in which they are shown. */
export const partNames = [
  'machine',
  'versions',
  'queue',
  'disk',
  'cache',
  'images',
  'sizes',
  'awake',
  'mirror',
  'fly',
  'previews',
  'cost',
  'audit',
  'sealing',
  'drift',
] as const
export type PartName = (typeof partNames)[number]

const parts = {
  machine: partOf(MachineStatus),
  versions: partOf(Versions),
  queue: partOf(QueueStatus),
  disk: partOf(DiskStatus),
  cache: partOf(CacheStatus),
  images: partOf(ImagesStatus),
  sizes: partOf(SizesStatus),
  awake: partOf(AwakeStatus),
  mirror: partOf(MirrorStatus),
  fly: partOf(FlyStatus),
  previews: partOf(PreviewsStatus),
  cost: partOf(CostStatus),
  audit: partOf(AuditStatus),
  sealing: partOf(SealingStatus),
  drift: partOf(DriftStatus),
} satisfies Record<PartName, z.ZodType>

/** `GET /v1/status`. Times are ISO 8601, UTC. A gateway of another version may have other parts. */
export const GatewayStatus = z.object({
  version: z.string(),
  at: z.string(),
  startedAt: z.string(),
  uptimeSeconds: z.number(),
  ...parts,
})
export type GatewayStatus = z.infer<typeof GatewayStatus>
