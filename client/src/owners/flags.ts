/** The options of `tarmac owner` that no other command has. */
export const ownerFlags = {
  'keep-volumes': { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
} as const

export const ownerHelp = `Options of owners:
  --state STATE         those in this state, as running, stopped or missing
  --limit N             at most so many, 1 to 100; 20
  --cursor NAME         go on after an earlier page

Options of owner:
  --release N           move: this release of the app; default: its newest one
  --from-owner NAME     move: a release of this owner instead; one of its own: tarmac rollback
  --env NAME=VALUE      move: a variable of this owner alone; may be repeated; the others are those of the release
  --detach              move: return when the gateway has the request
  --keep-volumes        destroy: keep the volumes, for the owner's next machine
  --yes                 destroy: do not ask`
