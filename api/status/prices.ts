import { z } from 'zod'
import type { GuestSize } from './machine.ts'

const price = z.number().min(0).max(1_000_000)

/**
 * What the operator pays. Tarmac ships no prices: they differ by region and contract, and change.
 * A machine is found by its exact size; an entry for its region goes before one without a region.
 */
export const PriceTable = z.strictObject({
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be like USD'),
  /** Where the prices were read, such as the address of a page or the number of a contract. */
  source: z.string().min(1).max(500),
  /** The day on which they were read. */
  date: z.iso.date('must be a day like 2026-05-04'),
  machines: z.array(
    z.strictObject({
      kind: z.string().min(1),
      cpus: z.number().int().min(1),
      memoryMb: z.number().int().min(1),
      region: z.string().min(1).optional(),
      perSecond: price,
    }),
  ),
  volumeGbMonth: price.optional(),
})
export type PriceTable = z.infer<typeof PriceTable>

/** Where prices come from, on records and in the status. */
export const PriceSource = z.object({ source: z.string(), date: z.string() })
export type PriceSource = z.infer<typeof PriceSource>

/** The price of a machine. */
export type Rate = { perSecond: number; currency: string; prices: PriceSource }

/** The price of a machine of this size in this region. Null: the table has none. */
export function rateOf(table: PriceTable, size: GuestSize, wanted: string): Rate | null {
  const fitting = table.machines.filter(
    ({ kind, cpus, memoryMb }) =>
      kind === size.kind && cpus === size.cpus && memoryMb === size.memoryMb,
  )
  const found =
    fitting.find(({ region }) => region === wanted) ?? fitting.find(({ region }) => !region)
  const { currency, source, date } = table
  return found ? { perSecond: found.perSecond, currency, prices: { source, date } } : null
}
