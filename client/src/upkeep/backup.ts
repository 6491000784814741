import { resolve } from 'node:path'
import { inMb } from '#api/text/in-mb.ts'
import { assertNew, saveNew } from '../files/save-new.ts'
import type { Printer } from '../print.ts'
import type { BuilderCalls } from './builder-calls.ts'

export const whatIsIn =
  'It holds deployments and their logs, releases, settings and sealed build secrets. It does not hold the token of the builder, nor TARMAC_SECRETS_KEY, which alone opens the secrets: keep the file that tarmac up made too.'

/**
 * `tarmac backup`: writes the builder's records into a new file, whole or not at all, readable by its
 * owner alone.
 */
export async function backup(
  file: string | null,
  calls: BuilderCalls,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  if (file !== null) assertNew(resolve(file))
  const { body, bytes, sha256, name } = await calls.backup(signal)
  const path = resolve(file ?? name)
  await saveNew(path, body, {
    what: 'The backup',
    signal,
    check: (saved) =>
      saved.bytes === bytes && saved.sha256 === sha256 ? null : `${saved.bytes} of ${bytes} bytes`,
  })
  printer.note(`backup: ${inMb(bytes)} of records, complete (SHA-256 checked). ${whatIsIn}`)
  return printer.result({ file: path, bytes, sha256 }, [path])
}
