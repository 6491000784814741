/** The options of `tarmac builder status` and `tarmac doctor` that no other command has. */
export const builderFlags = {
  wake: { type: 'boolean', default: false },
  push: { type: 'boolean', default: false },
  bundle: { type: 'string' },
  live: { type: 'boolean', default: false },
  preview: { type: 'boolean', default: false },
  machines: { type: 'string' },
} as const

export const builderHelp = `Options of builder status:
  --wake                ask the gateway although this starts a stopped machine

Options of doctor:
  --wake                ask the gateway although this starts a stopped machine
  --push                also push a tiny image to the builder's own repository, and remove it
  --live                also deploy a tiny app, send it a request, and remove it; prints the times
  --preview             with --live: a preview of that app instead; asks it, reads its log, extends and destroys it
  --machines N          with --live: then make N machines at once, 1 to 100; prints percentiles
  --bundle FILE         write a support file (tar.gz) without secrets`
