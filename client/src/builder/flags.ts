/** The options of the commands about a builder. `help` explains each of them. */
export const builderFlags = {
  app: { type: 'string' },
  gateway: { type: 'string' },
  token: { type: 'string' },
  json: { type: 'boolean', default: false },
  wake: { type: 'boolean', default: false },
  push: { type: 'boolean', default: false },
  bundle: { type: 'string' },
  live: { type: 'boolean', default: false },
  machines: { type: 'string' },
} as const
