import { Problem } from '#api/problem.ts'
import { unsteady } from '../deploy/pack-source.ts'
import type { SourceCalls } from './calls.ts'
import type { MissingFile } from './packs.ts'
import type { Patience } from './patience.ts'
import type { SendingProgress } from './progress.ts'
import { SingleFileTar } from './single-file-tar.ts'

const partBytes = 16 * 2 ** 20

type Deps = { folder: string; calls: SourceCalls; patience: Patience; progress: SendingProgress }

/** Sends a large file in parts. After a break it goes on where the gateway's disk has it. */
export async function sendLarge(file: MissingFile, deps: Deps): Promise<void> {
  const tar = new SingleFileTar(deps.folder, file)
  try {
    const { calls, patience } = deps
    for (;;) {
      const id = await patience.until(() => calls.createUpload(tar.sizeBytes))
      if (!(await sendParts(id, tar, deps))) continue
      await patience.until(() => calls.packUploaded(id))
      return
    }
  } catch (error) {
    // What was read does not have the hash of the manifest: the file changed meanwhile.
    throw error instanceof Problem && error.code === 'pack-invalid' ? unsteady(file.path) : error
  } finally {
    tar.close()
  }
}

/** The gateway still reads a broken connection, or the upload is too old. */
const isAboutOffset = (error: unknown): error is Problem =>
  error instanceof Problem && [404, 409, 410].includes(error.status)
const tryAgain = ({ code, message }: Problem) =>
  new Problem(code, message, { facts: { retryAfterSeconds: 0 } })

/** False: the gateway does not know this upload any more. */
async function sendParts(
  id: string,
  tar: SingleFileTar,
  { calls, patience, progress }: Deps,
): Promise<boolean> {
  let offset = 0
  while (offset < tar.sizeBytes) {
    const part = tar.read(offset, partBytes)
    let sent = offset
    const onSent = (bytes: number) => {
      sent += bytes
      progress.sent(bytes, bytes)
    }
    try {
      offset = await calls.uploadPart(id, offset, part, onSent)
      patience.heard()
    } catch (error) {
      await patience.pause(isAboutOffset(error) ? tryAgain(error) : error)
      const known = await patience.until(() => calls.uploadOffset(id))
      progress.sent(0, (known ?? 0) - sent)
      if (known === null) return false
      offset = known
    }
  }
  return true
}
