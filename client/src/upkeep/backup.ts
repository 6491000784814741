import { existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { errorMessage } from '#api/error-code.ts'
import { writeHashed } from '#api/flow/write-hashed.ts'
import { Problem } from '#api/problem.ts'
import { inMb } from '#api/text/in-mb.ts'
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
  assertNew(path)

  const part = `${path}.part`
  try {
    await writeChecked(Readable.from(arriving(body)), part, { bytes, sha256 })
    await rename(part, path)
    await sync(dirname(path))
  } catch (error) {
    await rm(part, { force: true })
    signal.throwIfAborted()
    throw error instanceof Problem ? error : notWritten(path, error)
  }

  printer.note(`backup: ${inMb(bytes)} of records, complete (SHA-256 checked). ${whatIsIn}`)
  return printer.result({ file: path, bytes, sha256 }, [path])
}

/** So that an error of the connection is not taken for one of the disk. */
async function* arriving(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (cause) {
    const why = cause instanceof Error && cause.cause ? cause.cause : cause
    throw new Problem(
      'body-truncated',
      `The backup did not arrive whole: ${errorMessage(why)}. Nothing was kept. Run the command again.`,
      { cause },
    )
  }
}

async function writeChecked(
  body: Readable,
  part: string,
  { bytes, sha256 }: { bytes: number; sha256: string },
): Promise<void> {
  const arrived = await writeHashed(body, part)
  if (arrived.bytes === bytes && arrived.sha256 === sha256) return
  throw new Problem(
    'body-truncated',
    `The backup did not arrive whole: ${arrived.bytes} of ${bytes} bytes. Nothing was kept. Run the command again.`,
  )
}

function assertNew(path: string): void {
  if (existsSync(path))
    throw new Problem('option-invalid', `${path} already exists. Name a new file.`)
}

const notWritten = (path: string, cause: unknown): Problem =>
  new Problem('option-invalid', `${path} cannot be written: ${errorMessage(cause)}.`, { cause })

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
