import { parseArgs } from 'node:util'

/** Reads options that are all numbers, with these defaults. `seed` is a new one by default. */
export function readNumbers<Name extends string>(
  args: string[],
  defaults: Record<Name, number>,
): Record<Name | 'seed', number> {
  const all = { ...defaults, seed: Date.now() % 1e6 }
  const options = Object.fromEntries(
    Object.entries(all).map(([name, value]) => [
      name,
      { type: 'string' as const, default: `${value}` },
    ]),
  )
  const { values } = parseArgs({ args, options })
  const read = Object.entries(values).map(([name, value]) => [name, Number(value)])
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `parseArgs` gives each option its default
  return Object.fromEntries(read) as Record<Name | 'seed', number>
}
