/** `after`: the outcome that the gateway guarantees. */
type Row = { who: string; moment: string; after: string }
const row = (who: string, moment: string, after: string): Row => ({ who, moment, after })

/** Moments at which a test can make the gateway stop: the calls of `crashPoint` in its code. */
const injected = {
  uploading: row(
    'G V',
    'during an upload',
    'the next start deletes the part in the spool; the sender sends again',
  ),
  'body-whole': row(
    'G V',
    'the body is complete, but not yet synced',
    'as during the upload: no record refers to it',
  ),
  unpacking: row(
    'G V',
    'the tree is being written',
    'the next start deletes it; the sender sends again',
  ),
  'tree-kept': row(
    'G V',
    'the tree is complete, its record is not written',
    'the next start deletes the tree; the idempotency key is unused',
  ),
  'upload-made': row(
    'G',
    'a resumable upload was made, the request is not answered',
    'nobody knows its id: it expires',
  ),
  'upload-written': row(
    'G V',
    'bytes of a resumable upload are written, but not synced',
    'they do not count: the sender goes on at the last synced byte',
  ),
  'upload-synced': row(
    'G V',
    'bytes of a resumable upload are synced, their offset is not recorded',
    'they do not count: the sender goes on at the offset before them',
  ),
  'upload-recorded': row(
    'G V',
    'the new offset is recorded, the request is not answered',
    'the sender goes on at the new offset',
  ),
  'upload-used': row(
    'G',
    'the deployment of a resumable upload is recorded, the upload is still there',
    'the deployment runs, and the same idempotency key returns it; the upload expires',
  ),
  'pack-synced': row(
    'G V',
    'the files of a pack are synced, and not in the store',
    'the next start deletes them; the sender sends the pack again',
  ),
  'pack-linking': row(
    'G V',
    'some files of a pack are in the store',
    'the sender sends the pack again; what no tree takes is swept',
  ),
  'tree-linking': row(
    'G V',
    'a tree is being made of files in the store',
    'the next start deletes it; the sender sends the manifest again',
  ),
  'tree-joining': row(
    'G V',
    'files of a tree are being put into the store',
    'the tree is whole; the next gateway goes on with it',
  ),
  'record-made': row(
    'G V',
    'the record is written, but the request is not answered',
    'the deployment runs; the same idempotency key returns the same deployment',
  ),
  promised: row('G V', 'the 202 was sent', 'the deployment reaches an end: it is never lost'),
  planning: row('G', 'the planner runs', 'the planner dies with the gateway, and runs again'),
  'solve-sent': row(
    'G',
    'the build was sent, the daemon has not answered',
    'the daemon drops it; it is built again, from cache',
  ),
  solving: row(
    'B V',
    'build steps run',
    'the gateway waits for the daemon; it builds again, with or without cache',
  ),
  pushing: row(
    'B V',
    'the push is half done',
    'it is pushed again: content is stored by digest, the name comes last',
  ),
  pushed: row(
    'G B',
    'the image is pushed, but the gateway does not know',
    'it is solved again from cache, no step runs',
  ),
  'image-known': row(
    'G',
    'the image is known, `deploying` is not written',
    'the same image from cache, no step runs',
  ),
  'egress-set': row(
    'G',
    'the network policy of a preview was sent, and there is no machine yet',
    'Fly is asked for the policy before the machine is made: never a machine without it',
  ),
  'create-sent': row(
    'G V',
    'the creation of a machine was sent, Fly has not answered',
    'the machine is found by its name and used: never a second one',
  ),
  'update-sent': row(
    'G',
    'an update was sent, Fly has not answered',
    'the gateway reads the machine: it repeats no update that was done',
  ),
  'machine-done': row(
    'G V',
    'some machines run the new version',
    'the deploy continues with the others, or rolls back',
  ),
  'lease-taken': row(
    'G',
    'a machine is leased',
    'the lease expires within 13 s, then the work continues',
  ),
  'cancel-requested': row(
    'G',
    'a cancel request is recorded',
    'the deployment does not continue; it ends `cancelled`',
  ),
  'owner-machines-gone': row(
    'G',
    'an owner is destroyed: its machines are gone, its volumes and its record are not',
    'its record says that its machines are missing; the same request once more ends what is left',
  ),
  verified: row(
    'G V',
    'everything is done, `live` is not written',
    'it is verified once more; the record has one end',
  ),
  'in-state': row(
    'G',
    'a deployment enters a state',
    'deployments that ran are retried one at a time; one that kills the gateway 3 times alone ends as `gateway-died`',
  ),
  'log-waiting': row(
    'G V',
    'log lines wait to be written',
    'they may be missing; a `gap` event says so',
  ),
  'entry-rested': row(
    'G',
    'the machines of a pool’s entry are suspended, the record does not say it',
    'the next gateway finds them suspended, and the entry waits in its pool',
  ),
  'claim-started': row(
    'G',
    'a request has taken an entry, and its machine is started',
    'the next gateway goes on: the same idempotency key returns the same preview',
  ),
  'claim-answers': row(
    'G',
    'the machine of a taken entry answers, `ready` is not written',
    'as `claim-started`: nobody else gets it',
  ),
} satisfies Record<string, Row>

/** Failures that come from outside. */
const outside = {
  'planner-fails': row(
    '–',
    'the planner says “try later”, or exceeds a limit',
    'it is retried with pauses; an exceeded limit is final',
  ),
  cancelled: row(
    '–',
    'a cancel at any moment',
    'the deployment ends once; 409 `cancel-too-late` after the first changed machine',
  ),
  'disk-full': row(
    '–',
    'the disk is full',
    'new uploads get 507, builds end with `no-space`, the record is written',
  ),
  'clock-jumps': row(
    '–',
    'the clock jumps by an hour',
    'nothing: the gateway measures time with a monotonic clock',
  ),
  'volume-restored': row(
    '–',
    'the volume comes from an old snapshot',
    'deploys to apps that run newer deployments are refused until the caller confirms',
  ),
} satisfies Record<string, Row>

/**
 * The moments for which the gateway guarantees an outcome. `who` names the part that dies (G: the
 * gateway, B: the build daemon, V: the power of the whole machine). Each has its test in
 * crash-points*.test.ts.
 */
export const crashPoints = { ...injected, ...outside }
export type CrashPoint = keyof typeof injected
export const injectedPoints = Object.keys(injected) as CrashPoint[]
