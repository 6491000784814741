import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fill, routes } from '#api/routes.ts'
import { inMb } from '#api/text/in-mb.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'
import { arriving, assertNew, saveNew } from './save-new.ts'

/** `file`: `-` is the standard output. Null: a name of the gateway. */
export type SourceRequest = { id: string; file: string | null }

/** Reads `tarmac source DEPLOYMENT [FILE]`. Null: it is used in another way. */
export const readSourceArgs = ([id, file, ...rest]: string[]): SourceRequest | null =>
  id === undefined || rest.length > 0 ? null : { id, file: file ?? null }

const what = 'The source'

/** Downloads the source of a deployment as a tar archive. */
export async function downloadSource(
  { id, file }: SourceRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const isPrinted = file === '-'
  if (file !== null && !isPrinted) assertNew(resolve(file))
  const { body, name } = await gateway.download(fill(routes.source, { id }), signal)
  if (isPrinted) {
    await pipeline(arriving(body, what), process.stdout, { end: false })
    return 0
  }
  const path = resolve(file ?? name ?? `${id}-source.tar`)
  const { bytes, sha256 } = await saveNew(path, body, { what, signal })
  printer.note(`source: ${inMb(bytes, 1)}. To unpack it: tar xf ${path}`)
  return printer.result({ file: path, bytes, sha256 }, [path])
}
