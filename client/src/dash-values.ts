type Flag = { type: 'string' | 'boolean'; short?: string }

/**
 * Joins an option and a value that begins with a dash: `--ttl -5m` becomes `--ttl=-5m`, so that the
 * command says what is wrong with the value. Throws if the value may be another option. What follows
 * `--` stays as it is.
 */
export function joinDashValues(argv: string[], flags: Record<string, Flag>): string[] {
  const shorts = new Map(Object.entries(flags).map(([name, { short }]) => [short, name]))
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length
  const joined = argv.slice(0, end + 1)
  for (let at = joined.length - 2; at >= 0; at--) {
    const [arg = '', value = ''] = joined.slice(at, at + 2)
    const name = arg.startsWith('--') ? arg.slice(2) : (shorts.get(arg.slice(1)) ?? '')
    const takesValue = Object.hasOwn(flags, name) && flags[name]?.type === 'string'
    if (!takesValue || !/^-./.test(value)) continue
    if (value.startsWith('--') || shorts.has(value[1]))
      throw new Error(
        `--${name} has no value; one that begins with a dash is given as --${name}=${value}`,
      )
    joined.splice(at, 2, `--${name}=${value}`)
  }
  return [...joined, ...argv.slice(end + 1)]
}
