import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { errorMessage } from '#api/error-code.ts'
import { PriceTable } from '#api/status/prices.ts'
import { setting } from './setting.ts'

/** A price table as JSON, or the path of a file that holds it. Null: there is none. */
const priceTable = z.string().transform((value, context): PriceTable | null => {
  const given = value.trim()
  if (given === '') return null
  try {
    const text = given.startsWith('{') ? given : readFileSync(given, 'utf8')
    const read = PriceTable.safeParse(JSON.parse(text))
    if (read.success) return read.data
    for (const { path, message } of read.error.issues.slice(0, 5))
      context.addIssue({ code: 'custom', message: `${path.join('.')}: ${message}` })
  } catch (error) {
    const message = `must be a price table as JSON, or the path of a file with one: ${errorMessage(error)}`
    context.addIssue({ code: 'custom', message })
  }
  return z.NEVER
})

export const prices = {
  prices: setting('TARMAC_PRICES', priceTable, '').describe(
    'What you pay for the gateway’s machine: a price table as JSON, or the path of a file with it. See docs/status.md. Without it the gateway counts machine seconds and no money.',
  ),
}
