import { randomBytes } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { errorCode } from '#api/error-code.ts'

const keyBytes = 32

/**
 * The gateway's own 32 random bytes, made at its first start. Source addresses and each app's key
 * are derived from them.
 */
export async function ownKey(path: string): Promise<Uint8Array> {
  const known = await readFile(path).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error
    return null
  })
  if (known?.length === keyBytes) return known // a crash may leave a shorter one, never used

  const key = randomBytes(keyBytes)
  await using file = await open(path, 'w', 0o600)
  await file.writeFile(key)
  await file.sync()
  return key
}
