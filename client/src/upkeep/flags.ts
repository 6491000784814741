/** The options of the commands that look after a builder. */
export const upkeepFlags = {
  'over-newer': { type: 'boolean', default: false },
  'drain-limit': { type: 'string' },
} as const

export const upkeepHelp = `Options of upgrade:
  --image REF           the gateway's new image; default: built from this checkout by the builder itself

Options of restore:
  --over-newer          replace the builder's records although it holds newer ones
  --drain-limit S       seconds to wait for what runs, before it is stopped to go on later; default 600`
