import { open } from 'node:fs/promises'

/**
 * Resolves when these files and folders are on disk: of a folder its names. For a few it is quicker
 * than `syncFileSystem`, which also waits for what builds write meanwhile.
 */
export async function syncPaths(paths: Iterable<string>): Promise<void> {
  await Promise.all(
    Array.from(paths, async (path) => {
      await using file = await open(path)
      await file.sync()
    }),
  )
}
