import { fill, routes } from '#api/routes.ts'
import { TreeAnswer } from '#api/sources/tree-calls.ts'
import { filesOf } from '../hostile/archive.ts'
import type { RandomSource } from './random-source.ts'
import { deploySent, untilFinal, type Sender, upload } from './senders.ts'

/**
 * A tree by its manifest, against the last one of this sender, with packs of what is missing. A pack
 * may be a resumable upload. Returns the tree that the next one may build on.
 */
export async function sendTree(
  sender: Sender,
  source: RandomSource,
  base: RandomSource | null,
): Promise<RandomSource | null> {
  const { app, line, random, ledger, signal } = sender
  const path = fill(routes.trees, { app })
  let against = random.fraction() < 0.7 ? base : null
  while (!signal.aborted) {
    const answer = await untilFinal(sender, () =>
      line.json('POST', path, manifest(source, against)),
    )
    if (answer === null) return base
    if (answer.status === 409 && answer.body.code === 'base-unknown') {
      if (against === null) ledger.fault('a whole manifest has no base that could be unknown')
      against = null
      continue
    }
    const { data, error } = TreeAnswer.safeParse(answer.body)
    if (!data) {
      ledger.fault(`trees: ${answer.status} ${JSON.stringify(answer.body)} ${error.message}`)
      return base
    }
    if (data.state === 'taken') break
    await sendPack(sender, source, data.missing)
  }
  if (signal.aborted) return base
  await deploySent(sender, { tree: source.digest }, { digest: source.digest, by: 'tree' })
  return source
}

function manifest({ digest, entries }: RandomSource, base: RandomSource | null) {
  if (!base) return { digest, entries }
  const before = new Set(base.entries.map((entry) => JSON.stringify(entry)))
  const paths = new Set(entries.map(({ path }) => path))
  return {
    digest,
    base: base.digest,
    entries: entries.filter((entry) => !before.has(JSON.stringify(entry))),
    removed: base.entries.map(({ path }) => path).filter((path) => !paths.has(path)),
  }
}

/** Sends some or all of what is missing. */
async function sendPack(
  sender: Sender,
  { entries, files }: RandomSource,
  missing: string[],
): Promise<void> {
  const { app, line, random, ledger } = sender
  const chosen = new Set(random.fraction() < 0.7 ? missing : missing.slice(0, 1))
  const inPack = entries.flatMap((entry) =>
    entry.type === 'file' && chosen.has(entry.sha256)
      ? [[entry.sha256, files.get(entry.path)!] as const]
      : [],
  )
  const pack = filesOf(Object.fromEntries(inPack))
  const path = fill(routes.packs, { app })
  const isResumable = random.fraction() < 0.4
  const sent = isResumable ? await upload(sender, pack) : null
  if (isResumable && sent === null) return
  const answer = await untilFinal(sender, () =>
    sent === null
      ? line.send({ method: 'POST', path, body: pack })
      : line.json('POST', path, { upload: sent.split('/').at(-1) }),
  )
  if (answer === null) return
  ledger.count(isResumable ? 'packs by upload' : 'packs')
  // The answer before a broken line may have been that it is taken. The manifest says so next.
  const isTaken = isResumable && answer.body?.code === 'upload-not-found'
  if (answer.status !== 201 && !isTaken)
    ledger.fault(`packs: ${answer.status} ${JSON.stringify(answer.body)}`)
}
