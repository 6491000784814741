export type CommandName = 'builder status' | 'doctor'

/** The command about a builder that the arguments begin with. Null: they begin with none. */
export function nameOf(argv: readonly string[]): CommandName | null {
  if (argv.includes('--help') || argv.includes('-h')) return null
  if (argv[0] === 'doctor') return 'doctor'
  return argv[0] === 'builder' && argv[1] === 'status' ? 'builder status' : null
}

export const isAboutBuilder = (argv: readonly string[]): boolean => nameOf(argv) !== null
