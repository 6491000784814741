import { text } from 'node:stream/consumers'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { FlyParts } from './fly-parts.ts'
import type { TokenSource } from './read-up.ts'

/** The token itself, without the line feed that `fly tokens create` prints. */
export async function readToken(source: TokenSource): Promise<string> {
  const token = 'stdin' in source ? (await text(process.stdin)).trim() : source.value
  if (/^[\x21-\x7e]+( [\x21-\x7e]+)?$/.test(token)) return token
  throw new Problem(
    'unauthorized',
    token
      ? 'What was given as a token of Fly is none: it has a space, a line feed or another character that no token has. Look whether fly tokens create org ORG prints a token or an error.'
      : 'Nothing came on stdin. Give the token there: fly tokens create org ORG | tarmac … --token -',
  )
}

/** What a command says of a token that works. */
const useOf = {
  up: 'up uses it to make the app, its Flycast address, volume, secrets and machine; the builder uses it to deploy, to read logs and to push images',
  upgrade: 'upgrade uses it to run commands in the machine and to update it',
  down: 'down uses it to remove the machine, the address, and what else you name',
}

/**
 * Checks that the token may make the builder, before anything is made. Returns the organisation.
 * Throws `unauthorized` with what to do.
 */
export async function checkToken(
  fly: FlyParts,
  { name, org }: { name: keyof typeof useOf; org: string | null },
): Promise<string> {
  const tokens = await fly.builder.tokens(fly.signal).catch((error: unknown) => {
    if (statusOf(error) !== 401 && statusOf(error) !== 403) throw error
    throw denied(`Fly does not take the token (${flyWords(error)}).`, org)
  })
  const orgs = [...new Set(tokens.flatMap(({ org_slug: slug }) => slug ?? []))]
  const [only] = orgs
  const chosen = org ?? (orgs.length === 1 && only ? only : null)
  if (chosen === null)
    throw new Problem(
      'option-invalid',
      orgs.length > 1
        ? `The token reaches several organisations: ${orgs.join(', ')}. Name one with --org.`
        : 'Fly does not say of which organisation the token is. Name it with --org.',
    )

  try {
    await fly.builder.apps(chosen, fly.signal)
  } catch (error) {
    const status = statusOf(error)
    if (status !== 403 && status !== 404 && status !== 401) throw error
    throw denied(
      `The token does not reach the organisation ${chosen} (${flyWords(error)}). A token for single apps is not enough.`,
      chosen,
    )
  }

  fly.report(`token: of organisation ${chosen}. ${useOf[name]}`)
  if (name === 'up' && tokens.some(({ user }) => user))
    fly.report(
      `token: it belongs to a person. The builder stops working when that person signs out or leaves. Better: fly tokens create org ${chosen}`,
    )
  return chosen
}

const flyWords = (error: unknown): string =>
  error instanceof Problem && typeof error.facts['fly'] === 'string'
    ? error.facts['fly']
    : errorMessage(error)

const denied = (why: string, org: string | null): Problem =>
  new Problem(
    'unauthorized',
    `${why} Nothing was changed. Make a token of the organisation, and run the command again:\n  export FLY_API_TOKEN="$(fly tokens create org ${org ?? 'ORG'})"`,
  )
