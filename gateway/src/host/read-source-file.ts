import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { Problem } from '#api/problem.ts'
import { findFile, type SourceTree } from '../deployments/source-tree.ts'
import { Beneath, fileFlags } from './beneath.ts'

/** How many bytes of a source file the gateway reads, unless the caller sets another limit. */
export const sourceFileBytes = 2 ** 20

/** Reads one file of a source by its path in the source. Null when the source has no such file. */
export type ReadSource = (path: string, limitBytes?: number) => Buffer | null

/**
 * Reads files of a source from outside. Only this function opens one to read it whole. A link that
 * the tree lists leads to a file of the tree, or to none. On disk the function follows no link in
 * any part of a path and does not block on a pipe. It reads at most one byte more than the limit.
 * Problems: `source-file-too-large`; `source-changed` when the tree lists the file but the disk does
 * not have it. The build checks later that the file is still the one that was sent.
 */
export function openSource(tree: SourceTree): ReadSource {
  return (path, limitBytes = sourceFileBytes) => {
    const file = findFile(tree, path)
    if (!file) return null
    if (file.sizeBytes > limitBytes) throw tooLarge(path, file.sizeBytes, limitBytes)

    const bytes = readWithin(tree.root, file.path, limitBytes)
    if (bytes.length > limitBytes) throw tooLarge(path, bytes.length, limitBytes)
    return bytes
  }
}

function tooLarge(path: string, sizeBytes: number, limitBytes: number): Problem {
  const detail = `The file ${path} has ${sizeBytes} bytes; the gateway reads at most ${limitBytes} bytes of it. Make the file smaller, or let the build read it instead.`
  return new Problem('source-file-too-large', detail, {
    facts: { file: path, sizeBytes, limitBytes },
  })
}

function readWithin(root: string, path: string, limitBytes: number): Buffer {
  let file = -1
  try {
    using tree = new Beneath(root)
    file = openSync(tree.at(path), fileFlags)
    if (!fstatSync(file).isFile()) throw new Error('it is no regular file')
    return readUpTo(file, limitBytes + 1)
  } catch (cause) {
    throw changed(path, cause)
  } finally {
    if (file >= 0) closeSync(file)
  }
}

function readUpTo(file: number, mostBytes: number): Buffer {
  const buffer = Buffer.alloc(Math.min(fstatSync(file).size + 1, mostBytes))
  let filled = 0
  for (;;) {
    const read = readSync(file, buffer, filled, buffer.length - filled, null)
    filled += read
    if (read === 0 || filled === buffer.length) return buffer.subarray(0, filled)
  }
}

const changed = (path: string, cause?: unknown): Problem =>
  new Problem(
    'source-changed',
    `The file ${path} of the source differs from what was sent. Deploy the source again.`,
    { cause },
  )
