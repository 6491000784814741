import { join } from 'node:path'
import { errorCode, errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { NewTree } from '#api/sources/tree-calls.ts'
import { sortedTreeDigest, type TreeEntry } from '#api/tree.ts'
import { manifestName, readManifest } from '../../host/tree-manifest.ts'
import type { Limits } from '../limits.ts'
import { checkEntries } from './check-entries.ts'
import { hexOf } from './digest-hex.ts'

/** A tree and its entries, in canonical order. */
export type ListedTree = { digest: string; entries: readonly TreeEntry[] }

/**
 * A tree that is complete and right by its manifest. `base`: the one that the manifest builds on.
 * `fresh`: the entries that are not those of `base`, in canonical order.
 */
export type AskedTree = ListedTree & { base: ListedTree | null; fresh: readonly TreeEntry[] }

/** `sent`: the trees of the app, one of which may be the base. `trees`: the folder of all trees. */
export type Known = { sent: readonly string[]; trees: string }

/** Reads a manifest. Throws what an archive of such a tree throws, `base-unknown` or `tree-invalid`. */
export async function readTree(text: string, known: Known, limits: Limits): Promise<AskedTree> {
  const { digest, base: of, entries, removed = [] } = parseNewTree(text)
  refuseTwice(entries)
  const base = of === undefined ? null : await readBase(of, known)
  const all = new Map(base?.entries.map((entry) => [entry.path, entry]))
  for (const path of removed) all.delete(path)
  for (const entry of entries) all.set(entry.path, entry)

  const before = new Set(base?.entries)
  const checked = await checkEntries([...all.values()], (entry) => before.has(entry), limits)
  const found = sortedTreeDigest(checked)
  if (found !== digest)
    throw new Problem(
      'tree-invalid',
      `The digest of these entries is ${found}, and the manifest says ${digest}. Send the whole manifest, with the digest of all its entries.`,
      { facts: { digest: found } },
    )
  return { digest, entries: checked, base, fresh: checked.filter((entry) => !before.has(entry)) }
}

/** Reads the JSON of a manifest. What its paths may be is checked later. */
export function parseNewTree(text: string): NewTree {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw invalid(`The manifest is not JSON: ${errorMessage(cause)}`, cause)
  }
  const parsed = NewTree.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw invalid(`The manifest is invalid: ${[...path.map(String), message].join(': ')}.`)
}

/** An entry of the base may be replaced, and no other one. */
function refuseTwice(entries: readonly TreeEntry[]): void {
  const paths = new Set<string>()
  for (const { path } of entries) {
    if (paths.has(path))
      throw new Problem(
        'archive-duplicate-path',
        `The manifest names ${JSON.stringify(path.slice(0, 200))} twice. Name it once.`,
      )
    paths.add(path)
  }
}

async function readBase(digest: string, { sent, trees }: Known): Promise<ListedTree> {
  const unknown = (cause?: unknown) =>
    new Problem(
      'base-unknown',
      `The gateway no longer keeps the tree ${digest} for this app. Send the whole manifest, without base.`,
      { cause },
    )
  if (!sent.includes(digest)) throw unknown()
  try {
    return await readManifest(join(trees, hexOf(digest), manifestName))
  } catch (error) {
    throw errorCode(error) === 'ENOENT' ? unknown(error) : error
  }
}

const invalid = (detail: string, cause?: unknown) =>
  new Problem('request-invalid', detail, { cause })
