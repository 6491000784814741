import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dice } from '../test/archives.ts'

export const largeSource = { files: 20_000, bytes: 400e6 }

/** Writes 20,000 files of 400 MB together: pieces of real source text, of many sizes, each another. */
export async function writeLargeSource(folder: string): Promise<void> {
  const text = await sourceText(60e6)
  const roll = dice(18)
  const mean = largeSource.bytes / largeSource.files
  for (let i = 0; i < largeSource.files; i++) {
    const parent = join(folder, `folder-${i % 400}`)
    if (i < 400) await mkdir(parent, { recursive: true })
    const size = Math.floor(mean / 20 + roll(mean * 1.9))
    const at = roll(text.length - size)
    await writeFile(
      join(parent, `file-${i}.js`),
      `// ${i}\n${text.toString('latin1', at, at + size)}`,
    )
  }
}

/** Source text of installed packages. */
async function sourceText(bytes: number): Promise<Buffer> {
  const root = join(import.meta.dirname, '../node_modules')
  const found: Buffer[] = []
  let left = bytes
  for (const path of await readdir(root, { recursive: true })) {
    if (left <= 0) break
    if (!/\.(?:js|ts|json|md)$/.test(path) || !(await stat(join(root, path))).isFile()) continue
    const text = await readFile(join(root, path))
    found.push(text)
    left -= text.length
  }
  return Buffer.concat(found)
}
