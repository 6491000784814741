import { NewPool, Pool, PoolList, type PoolView } from '#api/previews/pool.ts'
import { fill, routes } from '#api/routes.ts'
import { table } from '#api/text/table.ts'
import { readAnswer } from '../answers.ts'
import { wrongUse } from '../option.ts'
import type { Calling } from './preview-calls.ts'

export type PoolRequest =
  | { verb: 'ls'; app: string | null }
  | { verb: 'set'; app: string; template: string; pool: NewPool }
  | { verb: 'remove'; app: string; template: string }

export const poolFlags = { size: { type: 'string' }, rest: { type: 'string' } } as const

export const poolHelp = `Options of pool:
  --image REF           set: of this image in the registry of the apps, as registry.fly.io/shop:v7
  --size N              set: how many wait at once
  --rest STATE          set: how they wait, suspended (the default) or stopped
  --region CODE         set: where they run`

export const poolUsage =
  'ls [APP] | set APP TEMPLATE --size N --image REF [--rest suspended|stopped] [--region CODE] | remove APP TEMPLATE'

type Values = { [name in 'image' | 'size' | 'rest' | 'region']?: string | undefined }

/** Reads `tarmac pool …`. Null: another use. */
export function readPoolArgs(
  [verb, given, template, ...more]: string[],
  { image, size, rest, region }: Values,
  appName: (text: string) => string,
): PoolRequest | null {
  if (more.length > 0) return null
  const app = given === undefined ? null : appName(given)
  const [stray] = Object.entries({ image, size, rest, region }).find(([, text]) => text) ?? []
  if (stray !== undefined && verb !== 'set')
    throw wrongUse(`--${stray} is an option of tarmac pool set alone.`)
  if (verb === 'ls' && template === undefined) return { verb, app }
  if (app === null || template === undefined) return null
  if (verb === 'remove') return { verb, app, template }
  if (verb !== 'set') return null
  const read = NewPool.safeParse({ image, size: Number(size), ...(rest && { rest }), region })
  if (read.success) return { verb, app, template, pool: read.data }
  const { path, message } = read.error.issues[0]!
  throw wrongUse(`--${path.join('.')} is missing or invalid: ${message}. See tarmac pool --help.`)
}

/** Lists, sets and removes warm pools of previews. */
export async function pools(request: PoolRequest, calling: Calling): Promise<number> {
  const { gateway, printer, signal } = calling
  if (request.verb === 'ls') {
    const query = request.app === null ? '' : `?app=${request.app}`
    const list = readAnswer(PoolList, await gateway.ask('GET', `${routes.pools}${query}`, signal))
    return printer.result(list, listLines(list.pools))
  }
  const { verb, app, template } = request
  const path = fill(routes.pool, { app, template })
  if (verb === 'remove') {
    const removed = readAnswer(Pool, await gateway.ask('DELETE', path, signal))
    return printer.result(removed, [
      `removed the pool ${template} of ${app}; what waits in it is destroyed`,
    ])
  }
  const set = readAnswer(Pool, await gateway.ask('PUT', path, signal, request.pool))
  const { size, image } = set
  return printer.result(set, [
    `${size} of ${template} of ${app} will wait ${set.rest}; to take one: tarmac preview ${app} --template ${template} --image ${image}`,
  ])
}

function listLines(all: readonly PoolView[]): string[] {
  if (all.length === 0)
    return ['There are no pools; to make one: tarmac pool set APP TEMPLATE --size N --image REF']
  const rows = all.map((pool) => [
    pool.app,
    pool.template,
    pool.image,
    `${pool.ready} of ${pool.size}`,
    String(pool.warming),
    String(pool.claimedToday),
  ])
  const titles = ['APP', 'TEMPLATE', 'IMAGE', 'READY', 'WARMING', 'CLAIMED TODAY']
  const problems = all.flatMap(({ app, template, problem }) =>
    problem ? `${template} of ${app}: ${problem.detail}` : [],
  )
  return [...table([titles, ...rows], [3, 4, 5]), ...problems]
}
