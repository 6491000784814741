import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

type Row = { who: string; moment: string; after: string }
const row = (who: string, moment: string, after: string): Row => ({ who, moment, after })

/** Moments at which a test can make the code stop. */
const injected = {
  uploading: row(
    'G V',
    'during an upload',
    'the piece in the spool goes at the next start; the sender sends again',
  ),
  'body-whole': row(
    'G V',
    'the body is complete, not yet synced',
    'as during the upload: no record points at it',
  ),
  unpacking: row(
    'G V',
    'the tree is being written',
    'it goes at the next start; the sender sends again',
  ),
  'tree-kept': row(
    'G V',
    'the tree is whole, its record not written',
    'the tree goes at the next start; the key is unused',
  ),
  'record-made': row(
    'G V',
    'the record is written, not yet answered',
    'it goes its way; the same key gives the same one',
  ),
  promised: row('G V', 'the 202 was sent', 'it reaches an end: it is never lost'),
  planning: row('G', 'the planner runs', 'the planner dies with the gateway, and runs again'),
  'solve-sent': row(
    'G',
    'the build was sent, nothing answered yet',
    'the daemon drops it; it is built again, from cache',
  ),
  solving: row(
    'B V',
    'steps are being built',
    'the daemon is waited for; it is built again, from cache or without',
  ),
  pushing: row(
    'B V',
    'the push is half done',
    'it is pushed again: content has its place by digest, the name comes last',
  ),
  pushed: row(
    'G B',
    'it was pushed, the gateway does not know',
    'it is solved again from cache, no step runs',
  ),
  'image-known': row(
    'G',
    'the image is known, `deploying` not written',
    'the same image from cache, no step runs',
  ),
  'create-sent': row(
    'G V',
    'a machine was ordered, no answer',
    'the machine is found by its name and kept: never two',
  ),
  'update-sent': row(
    'G',
    'an update was sent, no answer',
    'the machine is looked at: what is done is not done again',
  ),
  'machine-done': row(
    'G V',
    'some machines are on the new version',
    'the rollout goes on with the others, or back',
  ),
  'lease-taken': row(
    'G',
    'a machine is leased',
    'the lease runs out within 13 s, then the work goes on',
  ),
  'cancel-requested': row(
    'G',
    'a cancel request is on the record',
    'nothing of it is taken up again; it ends `cancelled`',
  ),
  verified: row(
    'G V',
    'all is done, `live` not written',
    'it is looked at once more; the record has one end',
  ),
  'in-state': row(
    'G',
    'a deployment enters a state',
    'what was at work is tried one at a time; one that ends the gateway 3 times alone ends as `gateway-died`',
  ),
  'log-waiting': row(
    'G V',
    'lines of the log wait to be written',
    'they may be missing, which a `gap` event says',
  ),
} satisfies Record<string, Row>

/** Failures that come from outside. */
const outside = {
  'planner-fails': row(
    '–',
    'the planner says “try later”, or goes over a limit',
    'tried again with pauses; a limit is final',
  ),
  cancelled: row(
    '–',
    'a cancel at any moment',
    'ends once; 409 `cancel-too-late` from the first touched machine on',
  ),
  'disk-full': row(
    '–',
    'the disk is full',
    '507 for what is new, `no-space` for builds, the record is written',
  ),
  'clock-jumps': row(
    '–',
    'the clock jumps by an hour',
    'nothing: time is measured by a clock that only goes on',
  ),
  'volume-restored': row(
    '–',
    'the volume comes from an old snapshot',
    'apps that run newer ones are refused until confirmed',
  ),
} satisfies Record<string, Row>

/**
 * The moments for which the gateway guarantees an outcome. `who` names the part that dies (G: the
 * gateway, B: the build daemon, V: the power of the whole machine). `after` names the outcome.
 * Each has its test in test/e2e/crash-points*.test.ts.
 */
export const crashPoints = { ...injected, ...outside }
export type CrashPoint = keyof typeof injected
export const injectedPoints = Object.keys(injected) as CrashPoint[]

let orders: string | null = null

/**
 * For tests: reads crash orders from this file. `pushed SIGKILL 2` sends SIGKILL when the code
 * passes `pushed` for the second time. Lines such as `in-state SIGKILL always shop/building` apply
 * each time the code passes that point with that subject.
 */
export function obeyCrashOrders(file: string): void {
  orders = file || null
}

/** The file with the orders, to pass on to a worker thread. */
export const crashOrders = (): string => orders ?? ''

/** Does nothing, unless a test orders the process to end here. */
export function crashPoint(name: CrashPoint, of = ''): void {
  if (orders !== null) crashAsOrdered(orders, name, of)
}

function crashAsOrdered(file: string, name: CrashPoint, of: string): void {
  if (!existsSync(file)) return
  const text = readFileSync(file, 'utf8')
  if (text.split('\n').includes(`${name} SIGKILL always ${of}`))
    process.kill(process.pid, 'SIGKILL')
  const [wanted, signal, times] = text.split(' ')
  if (wanted !== name || times === 'always') return
  const left = Number(times) - 1
  if (left > 0) return writeFileSync(file, `${name} ${signal} ${left}`)
  rmSync(file)
  process.kill(process.pid, signal)
}
