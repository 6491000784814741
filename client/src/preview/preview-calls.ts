import { Preview, PreviewPage } from '#api/previews/preview.ts'
import { PreviewStats } from '#api/previews/preview-stats.ts'
import { fill, routes } from '#api/routes.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'

/** What every command about previews needs. */
export type Calling = { gateway: Gateway; printer: Printer; signal: AbortSignal }

type Method = Parameters<Gateway['ask']>[0]
type Route = 'preview' | 'extendPreview' | 'previewAction'

/** Asks about one preview, and returns it. */
export async function askPreview(
  { gateway, signal }: Calling,
  [method, route, id, action = '']: [Method, Route, string, string?],
  body?: object,
): Promise<Preview> {
  const path = fill(routes[route], { id, action })
  return readAnswer(Preview, await gateway.ask(method, path, signal, body))
}

export const listPreviews = async (
  { gateway, signal }: Calling,
  query: URLSearchParams,
): Promise<PreviewPage> =>
  readAnswer(
    PreviewPage,
    await gateway.ask('GET', `${routes.previews}?${query.toString()}`, signal),
  )

export const readStats = async (
  { gateway, signal }: Calling,
  query: URLSearchParams,
): Promise<PreviewStats> =>
  readAnswer(
    PreviewStats,
    await gateway.ask('GET', `${routes.previewStats}?${query.toString()}`, signal),
  )
