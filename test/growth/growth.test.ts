import { describe, expect, test } from 'vitest'
import { api } from './api.ts'
import { bounded } from './bounded.ts'
import { buildkit } from './buildkit.ts'
import { callers } from './callers.ts'
import { dashboard } from './dashboard.ts'
import { exceptionOf, exceptions } from './exceptions.ts'
import { flyToml } from './fly-toml.ts'
import { faultOf, type Shapes } from './growth.ts'
import { http } from './http.ts'
import { sources } from './intake.ts'
import { machines } from './machines.ts'
import { exportedNames, parsers } from './parsers.ts'
import { pipeline } from './pipeline.ts'
import { railpack } from './railpack.ts'

/**
 * The inputs of each parser. Functions that are no parser by the rule of `parsers.ts` may have a
 * row too.
 */
const rows: Record<string, Shapes> = {
  ...api,
  ...bounded,
  ...sources,
  ...buildkit,
  ...flyToml,
  ...railpack,
  ...pipeline,
  ...http,
  ...machines,
  ...callers,
  ...dashboard,
}

test(
  'every parser of the product has a growth test, or a reason why it needs none',
  { timeout: 60_000 },
  () => {
    expect(
      parsers().filter((parser) => !(parser in rows) && exceptionOf(parser) === undefined),
    ).toEqual([])
  },
)

test(
  'every growth test is for a product export, and every exception is needed',
  { timeout: 60_000 },
  () => {
    const names = exportedNames()
    expect(Object.keys(rows).filter((row) => !names.includes(row))).toEqual([])
    const used = new Set(parsers().map(exceptionOf))
    expect(Object.keys(exceptions).filter((name) => !used.has(name))).toEqual([])
  },
)

describe('the work of a parser grows no faster than its input', () => {
  test.each(Object.entries(rows))('%s', { timeout: 60_000 }, async (_, shapes) => {
    const faults: string[] = []
    for (const [name, shape] of Object.entries(shapes)) {
      const fault = await faultOf(shape)
      if (fault !== null) faults.push(`${name}: ${fault}`)
    }
    expect(faults).toEqual([])
  })
})
