import { readFileSync, writeFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { errorCode } from '#api/error-code.ts'
import { moveInPlace } from '../move-in-place.ts'
import { type ChainKey, Head } from './chain.ts'

const Sealed = Head.extend({ seal: z.string() })
/** A restore replaced the table. `head`: what the file had before. `earlier`: the records of then. */
const Restored = z.object({
  restored: z.object({ head: Sealed.nullable(), earlier: z.string() }),
})
const File = z.union([Sealed, Restored])

export const headFileIn = (dir: string): string => join(dir, 'audit-head.json')

export type FoundHead =
  | { kind: 'head'; head: Head }
  | { kind: 'restored'; head: Head | null; earlier: string }
  /** `why`: as words that follow "the file". */
  | { kind: 'none'; why: string }

/**
 * Reads the newest entry's number and code. They are outside the table, so that a table that lacks
 * its newest entries is found.
 */
export function readHead(path: string, key: ChainKey): FoundHead {
  const file = read(path)
  if (file === null) return { kind: 'none', why: 'is missing' }
  if (file === 'damaged') return { kind: 'none', why: 'is damaged' }
  if ('restored' in file) {
    const { head, earlier } = file.restored
    const isOurs = head && key.isSealed(head, head.seal)
    return {
      kind: 'restored',
      head: isOurs ? { number: head.number, mac: head.mac } : null,
      earlier,
    }
  }
  const { seal, ...head } = file
  if (!key.isSealed(head, seal)) return { kind: 'none', why: 'is not of this volume’s key' }
  return { kind: 'head', head }
}

/**
 * Replaces the file, synced. Only one at a time. Where a full disk has no space for another file, the
 * file is written over: its block is its own.
 */
export async function writeHead(path: string, head: Head, key: ChainKey): Promise<void> {
  const text = JSON.stringify({ ...head, seal: key.sealOf(head) })
  try {
    await write(`${path}.new`, 'w', text)
  } catch (error) {
    if (errorCode(error) !== 'ENOSPC') throw error
    return write(path, 'r+', text.padEnd(leastBytes))
  }
  await rename(`${path}.new`, path)
  await using folder = await open(dirname(path), 'r')
  await folder.sync()
}

/** More than the text of any head, so that a shorter one leaves nothing of a longer one. */
const leastBytes = 512

async function write(path: string, flags: 'w' | 'r+', text: string): Promise<void> {
  await using file = await open(path, flags, 0o600)
  await file.writeFile(text)
  await file.sync()
}

/**
 * Notes in the file that a restore replaces the records, so that the next start does not take the
 * older table for a cut one. May run again after a crash.
 */
export function noteRestore(dir: string, earlier: string): void {
  const path = headFileIn(dir)
  const file = read(path)
  const known =
    file === null || file === 'damaged' ? null : 'restored' in file ? file.restored.head : file
  const restored = { head: known, earlier }
  writeFileSync(`${path}.new`, JSON.stringify({ restored }), { mode: 0o600 })
  moveInPlace(`${path}.new`, path)
}

function read(path: string): z.infer<typeof File> | 'damaged' | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return null
  }
  try {
    return File.parse(JSON.parse(text))
  } catch {
    return 'damaged'
  }
}
