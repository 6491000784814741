/** The options of `tarmac secrets` and `tarmac env` that no other command has. */
export const runtimeFlags = {
  file: { type: 'string' },
  'build-file': { type: 'string' },
  stage: { type: 'boolean', default: false },
  deploy: { type: 'boolean', default: false },
} as const

export const runtimeHelp = `Options of secrets:
  --file FILE           set: all secrets of a .env file, as fly secrets import reads it; -: standard input
  --owner NAME          of this owner, which has an app of its own on Fly; nothing of builds
  --stage               set, unset: change them at Fly only; the next deployment gives them to machines
  --build NAME          set, unset: a secret of builds instead; may be repeated; set: NAME=VALUE, NAME=- or NAME
  --build-file FILE     set: all secrets of builds in a .env file

A secret of set is NAME=VALUE, NAME=- (from standard input) or NAME, which asks for the value without showing it.
Process lists show NAME=VALUE to other users of this computer; the other ways do not.

Options of env:
  --file FILE           set: all variables of a .env file
  --deploy              set, unset: make a release with the change at once`
