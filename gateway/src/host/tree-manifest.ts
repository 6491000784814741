import { open } from 'node:fs/promises'
import type { TreeEntry } from '#api/tree.ts'
import { TimeSlice } from '../time-slice.ts'
import type { SourceTree } from '../deployments/source-tree.ts'

/** The facts of a tree, as one line of JSON next to its files. The entries come last. */
export type Manifest = Omit<SourceTree, 'root' | 'manifest'>

export const manifestName = 'manifest.json'
const entriesAtOnce = 1_000
const chunkBytes = 256 * 1024
/** How long parsing may block the event loop. */
const sliceMs = 4

export async function writeManifest(path: string, { entries, ...facts }: Manifest): Promise<void> {
  await using file = await open(path, 'wx')
  await file.writeFile(`${JSON.stringify(facts).slice(0, -1)},"entries":[`)
  for (let at = 0; at < entries.length; at += entriesAtOnce) {
    const some = JSON.stringify(entries.slice(at, at + entriesAtOnce)).slice(1, -1)
    await file.writeFile(at === 0 ? some : `,${some}`)
  }
  await file.writeFile(']}')
}

/**
 * The border between two entries. A JSON string cannot contain it: a backslash precedes each quote.
 */
const between = Buffer.from('},{"type":"')

/**
 * Reads in slices. Parsing the JSON of 250,000 entries at once blocks the event loop for a quarter
 * of a second.
 */
export async function readManifest(path: string): Promise<Manifest> {
  await using file = await open(path)
  let facts: Manifest | undefined
  const entries: TreeEntry[] = []
  const take = (text: string) => {
    // The first part begins with the facts, the others with an entry.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the gateway wrote it, and checking 250,000 entries takes too long
    const parsed = JSON.parse(facts ? `{"entries":[${text}` : text) as Manifest
    facts ??= parsed
    for (const entry of parsed.entries) entries.push(entry)
  }

  let held = Buffer.alloc(0)
  const slice = new TimeSlice(sliceMs)
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes)
    if (bytesRead === 0) break
    held = Buffer.concat([held, buffer.subarray(0, bytesRead)])
    const cut = held.lastIndexOf(between)
    if (cut < 0) continue
    take(`${held.toString('utf8', 0, cut + 1)}]}`)
    held = held.subarray(cut + 2)
    await slice.yield()
  }

  take(held.toString('utf8'))
  return { ...facts!, entries }
}
