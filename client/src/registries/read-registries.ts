import type { Connection } from '../connection.ts'
import type { Values } from '../flags.ts'
import { wrongUse } from '../option.ts'

/** Where the password comes from. `file` null and `stdin` false: it is asked for. */
export type PasswordSource = { file: string | null; stdin: boolean }

/** What to ask of the gateway. `login`: an id or an address. */
export type RegistryRequest =
  | { verb: 'list' }
  | { verb: 'add'; address: string; username: string; body: object; password: PasswordSource }
  | { verb: 'rotate'; login: string; body: object; password: PasswordSource }
  | { verb: 'test'; login: string; body: object }
  | { verb: 'remove'; login: string }
export type RegistriesCommand = Connection & { name: 'registries'; request: RegistryRequest }

type RegistryValues = Pick<
  Values,
  'username' | 'password-stdin' | 'image' | 'no-test' | 'team' | 'file'
>

/** Which options each verb has. */
const optionsOf: Record<string, readonly (keyof RegistryValues)[]> = {
  list: [],
  add: ['username', 'team', 'file', 'password-stdin', 'image', 'no-test'],
  rotate: ['username', 'file', 'password-stdin', 'image', 'no-test'],
  test: ['image'],
  remove: [],
}

export const registriesUsage =
  '[list] | add ADDRESS --username NAME | test LOGIN | rotate LOGIN | remove LOGIN'

/** Reads `tarmac registries …`. Null: it is another command, or used in another way. */
export function readRegistries(
  name: string,
  args: string[],
  values: RegistryValues,
): { name: 'registries'; request: RegistryRequest } | null {
  const request = name === 'registries' ? readRegistryArgs(args, values) : null
  return request && { name: 'registries', request }
}

/** The gateway checks the values. */
function readRegistryArgs(
  [verb = 'list', login, ...more]: string[],
  values: RegistryValues,
): RegistryRequest | null {
  const known = optionsOf[verb]
  if (!known || more.length > 0 || (verb === 'list') !== (login === undefined)) return null
  const all = ['username', 'team', 'file', 'password-stdin', 'image', 'no-test'] as const
  const wrong = all.find((option) => values[option] && !known.includes(option))
  if (wrong)
    throw wrongUse(
      `--${wrong} is not an option of tarmac registries ${verb}. See tarmac registries --help.`,
    )
  if (login === undefined) return { verb: 'list' }
  if (verb === 'remove') return { verb, login }

  const { username, team, image, file, 'no-test': untested, 'password-stdin': stdin } = values
  if (untested && image)
    throw wrongUse('Give --image or --no-test, not both: the image is for the test.')
  if (file !== undefined && stdin) throw wrongUse('Give --file or --password-stdin, not both.')
  const body = { ...(image && { image }), ...(untested && { test: false }) }
  if (verb === 'test') return { verb, login, body }

  const password = { file: file ?? null, stdin }
  if (verb === 'rotate')
    return { verb, login, body: { ...body, ...(username && { username }) }, password }
  if (!username)
    throw wrongUse(
      `Whose login is it? tarmac registries add ${login} --username NAME. For a token it is mostly the name of its owner.`,
    )
  return {
    verb: 'add',
    address: login,
    username,
    body: { ...body, ...(team && { team }) },
    password,
  }
}
