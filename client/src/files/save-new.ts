import { existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { errorMessage } from '#api/error-code.ts'
import { writeHashed } from '#api/flow/write-hashed.ts'
import { Problem } from '#api/problem.ts'

export type Saved = { bytes: number; sha256: string }
type Saving = {
  /** What arrives, as the beginning of a sentence: `The backup`. */
  what: string
  signal: AbortSignal
  /** Null: it arrived whole. Otherwise what is wrong with it. */
  check?: (saved: Saved) => string | null
}

/** Writes what arrives into a new file, whole or not at all, readable by its owner alone. */
export async function saveNew(
  path: string,
  body: AsyncIterable<Uint8Array>,
  { what, signal, check = () => null }: Saving,
): Promise<Saved> {
  assertNew(path)
  const part = `${path}.part`
  try {
    const saved = await writeHashed(Readable.from(arriving(body, what)), part)
    const wrong = check(saved)
    if (wrong !== null) throw truncated(what, wrong)
    await rename(part, path)
    await sync(dirname(path))
    return saved
  } catch (error) {
    await rm(part, { force: true })
    signal.throwIfAborted()
    throw error instanceof Problem ? error : notWritten(path, error)
  }
}

export function assertNew(path: string): void {
  if (existsSync(path))
    throw new Problem('option-invalid', `${path} already exists. Name a new file.`)
}

/** So that an error of the connection is not taken for one of the disk. */
export async function* arriving(
  body: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (cause) {
    const why = cause instanceof Error && cause.cause ? cause.cause : cause
    throw truncated(what, errorMessage(why), cause)
  }
}

const truncated = (what: string, why: string, cause?: unknown): Problem =>
  new Problem(
    'body-truncated',
    `${what} did not arrive whole: ${why}. Nothing was kept. Run the command again.`,
    { cause },
  )

const notWritten = (path: string, cause: unknown): Problem =>
  new Problem('option-invalid', `${path} cannot be written: ${errorMessage(cause)}.`, { cause })

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
