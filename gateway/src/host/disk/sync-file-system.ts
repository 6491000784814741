import { execTool } from '../child/exec-tool.ts'

const timeoutMs = 120_000

/**
 * Resolves when all data written to the file system of `path` is on disk. One call syncs a whole
 * tree. Node has no syncfs, and an fsync per file takes ten times as long (20,000 files: 1.5 s
 * against 0.13 s).
 */
export async function syncFileSystem(path: string): Promise<void> {
  await execTool('sync', ['--file-system', path], { timeoutMs })
}
