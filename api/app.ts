import { z } from 'zod'

/** Part of every error about a name, so that the reader need not look up the rule. */
export const appNameRule =
  'An app name is 2 to 63 characters: lower-case letters, digits and dashes, neither beginning nor ending with a dash.'

/**
 * A Fly app's name. It becomes a host name and a registry repository, so it must be valid as both.
 */
export const AppName = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])$/, appNameRule)

/** Part of every error about an owner. */
export const ownerRule =
  'an owner is named by 2 to 63 lower-case letters, digits and dashes, not beginning or ending with a dash'

/** An owner of machines. It becomes a part of names on Fly, so it follows the same rule as an app. */
export const OwnerName = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])$/, ownerRule)

/** The names of an app's config file. The first one that exists wins, as in flyctl. */
export const configNames = ['fly.toml', 'fly.json', 'fly.yaml']
