import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { extname, join } from 'node:path'
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

/** Everything that a page loads: our scripts, styles and icon, by their names in `assets/`. */
const assets = new Map(
  readdirSync(folder)
    .filter((name) => name !== 'tsconfig.json')
    .map((name) => [name, readAsset(name)]),
)
const byServedName = new Map([...assets.values()].map((asset) => [asset.served, asset]))

/** The address of an asset. It has a hash of the content, so a browser may keep it for ever. */
export function assetAddress(name: string): string {
  const asset = assets.get(name)
  if (!asset) throw new Error(`There is no asset ${name}.`)
  return addressOf('asset', { name: asset.served })
}

/** `GET /ui/assets/{name}`: for everybody, because the page of the login needs them. */
export const sendAsset: RequestHandler = (request, response) => {
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

/** Scripts are TypeScript without any syntax that needs a compiler, as all of the gateway. */
function readAsset(name: string): Asset {
  const text = readFileSync(join(folder, name), 'utf8')
  const isScript = name.endsWith('.ts')
  const body = Buffer.from(isScript ? stripTypeScriptTypes(text) : text)
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 12)
  const kind = isScript ? '.js' : extname(name)
  const served = `${name.slice(0, -extname(name).length)}.${hash}${kind}`
  return { served, type: types[kind] ?? 'application/octet-stream', body, packed: gzipSync(body) }
}
