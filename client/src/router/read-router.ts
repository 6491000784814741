import { NewRouter } from '#api/router/router.ts'
import type { Values } from '../flags.ts'
import { wrongUse } from '../option.ts'

export type RouterRequest = { app: string; domain: string | null; isRemoval: boolean }

/** Reads `tarmac router APP`. Null: another use. */
export function readRouterArgs(
  [app, ...more]: string[],
  { domain, remove }: Pick<Values, 'domain' | 'remove'>,
  appName: (text: string) => string,
): RouterRequest | null {
  if (app === undefined || more.length > 0 || (remove && domain !== undefined)) return null
  const read = NewRouter.safeParse({ domain })
  if (!read.success) throw wrongUse(`--domain: ${read.error.issues[0]!.message}.`)
  return { app: appName(app), domain: read.data.domain, isRemoval: remove }
}
