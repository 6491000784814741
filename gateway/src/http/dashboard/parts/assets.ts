import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { basename, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { RequestHandler } from 'express'
import { Problem } from '#api/problem.ts'
import { addressOf } from './addresses.ts'

const folder = join(import.meta.dirname, '../assets')
const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
const yearSeconds = 365 * 86_400

type Asset = { served: string; type: string; body: Buffer; packed: Buffer }

/** Everything that a page loads, by path: `assets/`, and the modules that its scripts import. */
const assets = new Map<string, Asset>()
const byServedName = new Map<string, Asset>()

/** For the first page, not for the start: to take the types out of scripts takes 0.2 s and 12 MiB. */
function readAll(): void {
  if (byServedName.size > 0) return
  for (const name of readdirSync(folder)) if (name !== 'tsconfig.json') assetAt(join(folder, name))
  for (const asset of assets.values()) byServedName.set(asset.served, asset)
}

/** The address of an asset. It has a hash of the content, so a browser may keep it for ever. */
export function assetAddress(name: string): string {
  readAll()
  const asset = assets.get(join(folder, name))
  if (!asset) throw new Error(`There is no asset ${name}.`)
  return servedAt(asset)
}

/** `GET /ui/assets/{name}`: for everybody, because the page of the login needs them. */
export const sendAsset: RequestHandler = (request, response) => {
  readAll()
  const asset = byServedName.get(String(request.params['name']))
  if (!asset) throw new Problem('route-not-found', 'There is no such file. Load the page again.')
  const isPacked = request.acceptsEncodings('gzip') === 'gzip'
  response
    .set({
      'Content-Type': asset.type,
      'Cache-Control': `public, max-age=${yearSeconds}, immutable`,
      Vary: 'Accept-Encoding',
      ...(isPacked && { 'Content-Encoding': 'gzip' }),
    })
    .end(isPacked ? asset.packed : asset.body)
}

function servedAt({ served }: Asset): string {
  return addressOf('asset', { name: served })
}

function assetAt(path: string): Asset {
  const asset = assets.get(path) ?? readAsset(path)
  assets.set(path, asset)
  return asset
}

function readAsset(path: string): Asset {
  const [name, ending] = [basename(path), extname(path)]
  const body = Buffer.from(ending === '.ts' ? scriptAt(path) : readFileSync(path))
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 12)
  const kind = ending === '.ts' ? '.js' : ending
  const served = `${name.slice(0, -ending.length)}.${hash}${kind}`
  return { served, type: types[kind] ?? 'application/octet-stream', body, packed: gzipSync(body) }
}

/**
 * Scripts are TypeScript without any syntax that needs a compiler, as all of the gateway. What they
 * import is served too, so that a page and the server read a log by the same code.
 */
function scriptAt(path: string): string {
  const importOf = (_: string, name: string) => {
    const url = name.startsWith('#')
      ? import.meta.resolve(name)
      : new URL(name, pathToFileURL(path))
    return `} from '${servedAt(assetAt(fileURLToPath(url)))}'`
  }
  return stripTypeScriptTypes(readFileSync(path, 'utf8')).replaceAll(
    /\} from '([#.][^'\n]+)'$/gm,
    importOf,
  )
}
