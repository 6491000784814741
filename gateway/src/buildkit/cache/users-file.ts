import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Survey } from './cache-usage.ts'

/** Who used what, as kept on the volume. Without it, records count as used by nobody known. */
const Kept = z.object({
  keys: z.record(z.string(), z.string()),
  users: z.record(z.string(), z.array(z.string())),
})

export type Known = Pick<Survey, 'keys' | 'users'>

/** Empty when there is no file, or a damaged one. */
export async function readUsers(path: string): Promise<Known> {
  const text = await readFile(path, 'utf8').catch(() => '{}')
  const parsed = Kept.safeParse(parsedOrNull(text))
  const { keys, users } = parsed.data ?? { keys: {}, users: {} }
  return {
    keys: new Map(Object.entries(keys)),
    users: new Map(Object.entries(users).map(([id, apps]) => [id, new Set(apps)])),
  }
}

/** Replaces the file whole. */
export async function writeUsers(path: string, { keys, users }: Known): Promise<void> {
  const kept = {
    keys: Object.fromEntries(keys),
    users: Object.fromEntries(
      [...users].filter(([, apps]) => apps.size > 0).map(([id, apps]) => [id, [...apps]]),
    ),
  }
  // The keys separate the caches of the apps, so nobody else may read them.
  await writeFile(`${path}.new`, JSON.stringify(kept), { mode: 0o600 })
  await rename(`${path}.new`, path)
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
