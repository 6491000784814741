import type { DeploymentStore } from '../../deployments/store.ts'
import type { Sources } from '../../sources/sources.ts'
import type { Uploads } from '../../sources/uploads/uploads.ts'
import { finishedUpload } from '../uploads/own-upload.ts'
import type { TreeCommands } from './tree-commands.ts'

export type TreeDeps = {
  store: Pick<DeploymentStore, 'sentTrees'>
  sources: Pick<Sources, 'receiveTree' | 'receivePack'>
  uploads: Pick<Uploads, 'find' | 'body' | 'remove'>
}

/** A manifest may build on one of so many trees of its app. More are hardly ever kept. */
const maxBases = 200

/** See `TreeCommands`. */
export function openTrees({ store, sources, uploads }: TreeDeps): TreeCommands {
  const { sentTrees } = store
  return {
    async send(_caller, app, { body, ...sending }) {
      const sent = sentTrees.newest(app, maxBases)
      const note = (digest: string) => sentTrees.add(app, digest)
      return sources.receiveTree(body, { app, sent, note }, sending)
    },
    async sendPack(_caller, app, { body, ...sending }) {
      return sources.receivePack(body, app, sending)
    },
    async takeUpload(caller, app, id) {
      const { digest } = finishedUpload(uploads, caller, { app, id })
      const sending = { contentDigest: digest ?? undefined, signal: new AbortController().signal }
      const body = uploads.body(id)
      try {
        const answer = await sources.receivePack(body, app, sending)
        await uploads.remove(id)
        return answer
      } finally {
        body.destroy() // a refusal leaves the rest unread
      }
    },
  }
}
