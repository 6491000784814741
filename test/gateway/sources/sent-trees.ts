import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { TreeAnswer } from '#api/sources/tree-calls.ts'
import { treeDigest, type TreeEntry } from '#api/tree.ts'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import { file as tarFile, tar } from '../../archives.ts'

export const sha256 = (content: string | Buffer) =>
  createHash('sha256').update(content).digest('hex')

export const fileOf = (
  path: string,
  content: string | Buffer,
  mode: 0o755 | 0o644 = 0o644,
): TreeEntry => ({
  type: 'file',
  path,
  mode,
  sizeBytes: Buffer.byteLength(content),
  sha256: sha256(content),
})

export const packOf = (...contents: (string | Buffer)[]) =>
  tar(...contents.map((content) => tarFile(sha256(content), Buffer.from(content))))

export const manifestOf = (entries: TreeEntry[]) => ({ digest: treeDigest(entries), entries })

const bodyOf = (bytes: Buffer) => Readable.from([bytes], { objectMode: false })

/** The sources of a volume of its own, and what apps have sent. */
export async function openSentTrees() {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-trees-'))
  let sources = await Sources.open({ dir })
  /** What each app has sent, newest first. */
  const sent = new Map<string, string[]>()
  const sentBy = (app: string) => sent.get(app) ?? []
  const note = (app: string, digest: string) =>
    void sent.set(app, [digest, ...sentBy(app).filter((each) => each !== digest)])
  const signal = AbortSignal.timeout(60_000)

  return {
    dir,
    get sources() {
      return sources // another one after `restart`
    },
    sendTree(body: object | Buffer, app = 'shop', contentDigest?: string): Promise<TreeAnswer> {
      const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
      const record = { app, sent: sentBy(app), note: (digest: string) => note(app, digest) }
      return sources.receiveTree(bodyOf(bytes), record, { signal, contentDigest })
    },
    sendPack: (bytes: Buffer, app = 'shop') => sources.receivePack(bodyOf(bytes), app, { signal }),
    async sendArchive(bytes: Buffer, app = 'shop') {
      const facts = await sources.receive(bodyOf(bytes), { signal })
      note(app, facts.digest)
      return facts
    },
    /** The next gateway has used no tree yet. */
    async restart() {
      await sources[Symbol.asyncDispose]()
      sources = await Sources.open({ dir })
    },
    objectOf: (name: string) => join(dir, 'objects', name.slice(0, 2), name),
    inTree: (digest: string, path: string) =>
      join(dir, 'trees', digest.slice('sha256:'.length), 'files', path),
    async [Symbol.asyncDispose]() {
      await sources[Symbol.asyncDispose]()
      await rm(dir, { recursive: true })
    },
  }
}
