import { NewRouter } from '#api/router/router.ts'
import type { Values } from '../flags.ts'
import { wrongUse } from '../option.ts'

export type RouterRequest = { app: string; isRemoval: boolean } & NewRouter

/** Reads `tarmac router APP`. Null: another use. */
export function readRouterArgs(
  [app, ...more]: string[],
  { domain, release, remove }: Pick<Values, 'domain' | 'release' | 'remove'>,
  appName: (text: string) => string,
): RouterRequest | null {
  const given = [domain, release].filter((value) => value !== undefined)
  if (app === undefined || more.length > 0 || (remove && given.length > 0)) return null
  const read = NewRouter.safeParse({ domain, ...(release !== undefined && { release: +release }) })
  if (read.success) return { app: appName(app), ...read.data, isRemoval: remove }
  const { path, message } = read.error.issues[0]!
  throw wrongUse(`--${path.join('.')}: ${message}.`)
}
