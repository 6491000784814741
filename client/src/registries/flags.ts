/** The options of `tarmac registries` that no other command has. */
export const registryFlags = {
  username: { type: 'string' },
  'password-stdin': { type: 'boolean', default: false },
  image: { type: 'string' },
  'no-test': { type: 'boolean', default: false },
} as const

export const registriesHelp = `Options of registries:
  --username NAME       add: the user name at the registry; rotate: another one than before
  --team NAME           add: only for the apps of this team; without it for all apps, or for those of your team
  --file FILE           add, rotate: the password from a file; -: from standard input
  --password-stdin      add, rotate: the password from standard input
  --image REF           add, rotate, test: an image that the login must be able to read
  --no-test             add, rotate: keep it without asking the registry

Without --file and --password-stdin the client asks for the password, without showing it. A login is named by its id or
its address. It is for a registry (ghcr.io), or for the repositories below a name there (ghcr.io/acme).`
