import { forEachLimit } from '#api/flow/for-each-limit.ts'
import { Problem } from '#api/problem.ts'
import type { NewTree, TreeAnswer } from '#api/sources/tree-calls.ts'
import type { Compression } from '../deploy/compression.ts'
import type { SourceCalls } from './calls.ts'
import { type KnownTree, manifestOf } from './known-tree.ts'
import { type MissingFile, packBytes, packOf, PackQueue } from './packs.ts'
import { isLost, type Patience } from './patience.ts'
import type { SendingProgress } from './progress.ts'
import { sendEarly } from './send-early.ts'
import { sendLarge } from './send-large.ts'

const packsAtOnce = 3
/** How often a gateway may miss as many files as before. */
const maxRounds = 5

export type TreeDeps = {
  folder: string
  calls: SourceCalls
  compression: Compression
  patience: Patience
  progress: SendingProgress
}

/**
 * Sends a tree: its manifest, then the files that the gateway misses, until it has taken the tree.
 * `base`: a tree that the gateway took before. False: the gateway knows no trees.
 */
export async function sendTree(
  tree: KnownTree,
  base: KnownTree | null,
  deps: TreeDeps,
): Promise<boolean> {
  const all = tree.entries.filter((entry) => entry.type === 'file')
  const files = new Map(all.map((file) => [file.sha256, file]))
  const allBytes = sum(all)
  deps.progress.plan({ files: 0, bytes: 0, allFiles: all.length, allBytes })
  const manifest = manifestOf(tree, base)
  let early = sendEarly({ tree, base, manifest }, deps)
  await early?.sent
  let fewest = Infinity
  for (let rounds = 0; ; rounds++) {
    const answer = await askFor(tree, manifest, deps)
    await early?.arrived
    if (answer === null) return false
    if (answer.state === 'taken') return true
    if (early) {
      early = null // the gateway may have looked before it had arrived
      continue
    }

    if (answer.missing.length < fewest) rounds = 0
    const missing = answer.missing.flatMap((sha256) => files.get(sha256) ?? [])
    if (missing.length === 0 || rounds === maxRounds)
      throw new Problem(
        'internal',
        `The gateway still misses ${answer.missing.length} files that it was sent. Its operator finds why in its log.`,
      )
    const hashes = new Set(answer.missing)
    const sent = all.filter(({ sha256 }) => hashes.has(sha256)).length
    if (fewest === Infinity)
      deps.progress.plan({ files: sent, bytes: sum(missing), allFiles: all.length, allBytes })
    fewest = Math.min(fewest, answer.missing.length)
    await sendMissing(missing, deps)
  }
}

/** Asks what is missing of a tree. Null: the gateway knows no trees. */
async function askFor(
  tree: KnownTree,
  manifest: NewTree,
  { calls, patience, progress }: TreeDeps,
): Promise<TreeAnswer | null> {
  const ask = (what: NewTree) =>
    patience.until(() => calls.tree(what, (bytes) => progress.sent(bytes, 0)).catch(orRefusal))
  const answer = await ask(manifest)
  if (answer === 'base-unknown') {
    const whole = await ask(manifestOf(tree, null))
    return whole === 'base-unknown' || whole === 'no-trees' ? null : whole
  }
  return answer === 'no-trees' ? null : answer
}

/** The gateway may not have this base any more. */
function orRefusal(error: unknown): 'base-unknown' | 'no-trees' {
  if (error instanceof Problem && error.code === 'base-unknown') return 'base-unknown'
  if (error instanceof Problem && noTrees.has(error.code)) return 'no-trees'
  throw error
}
/**
 * An older gateway has no such address. A deploy link, a caller that may only make previews, and one
 * that has only some owners may send archives.
 */
const noTrees = new Set(['route-not-found', 'method-not-allowed', 'forbidden', 'app-not-found'])

const sum = (files: readonly { sizeBytes: number }[]) =>
  files.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0)

const isLarge = ({ sizeBytes }: MissingFile) => sizeBytes > packBytes

async function sendMissing(files: MissingFile[], deps: TreeDeps): Promise<void> {
  const large = files.filter(isLarge).values()
  const queue = new PackQueue(files.filter((file) => !isLarge(file)))
  const stop = new AbortController()
  const worker = async () => {
    for (const file of large) {
      stop.signal.throwIfAborted()
      await sendLarge(file, deps)
    }
    for (let pack = queue.next(); pack; pack = queue.next()) {
      stop.signal.throwIfAborted()
      await sendPack(pack, queue, deps)
    }
  }
  await forEachLimit(Array(packsAtOnce).fill(null), packsAtOnce, worker, stop)
}

/** Sends a pack. If its connection breaks, its files go back to the queue. */
async function sendPack(
  files: MissingFile[],
  queue: PackQueue,
  { folder, calls, compression, patience, progress }: TreeDeps,
): Promise<void> {
  const bytes = await packOf(folder, files, compression)
  const contentBytes = sum(files)
  let shown = 0
  try {
    await calls.pack(bytes, (sent) => {
      const content = (sent / bytes.length) * contentBytes
      shown += content
      progress.sent(sent, content)
    })
    patience.heard()
  } catch (error) {
    progress.sent(0, -shown)
    queue.putBack(files)
    if (error instanceof Problem && isLost(error)) queue.shrink()
    await patience.pause(error)
  }
}
