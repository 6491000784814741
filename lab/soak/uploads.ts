import { setTimeout as sleep } from 'node:timers/promises'
import { type Deployment, isFinal } from '#api/deployment.ts'
import { fill, routes } from '#api/routes.ts'
import { Random } from './random.ts'
import { readNumbers } from './read-numbers.ts'
import { attackOnce } from './uploads/hostile-bodies.ts'
import { ageByADay, leftOver } from './uploads/left-over.ts'
import { Ledger } from './uploads/ledger.ts'
import { Line } from './uploads/line.ts'
import { randomSource, type RandomSource } from './uploads/random-source.ts'
import { sendTree } from './uploads/send-tree.ts'
import { type Sender, sendDirect, sendResumable } from './uploads/senders.ts'
import { startWorld, type World } from './uploads/world.ts'

const about =
  'sends sources by every door while lines break, the gateway is killed and others send hostile bodies; finds what was lost, and what is left over: [--minutes 5] [--senders 6] [--seed N]'

export type UploadsPlan = {
  seconds: number
  senders: number
  seed: number
  /** The first of the ports that may be free. */
  port: number
  say: (line: string) => void
}

async function run(args: string[]): Promise<boolean> {
  const { minutes, ...plan } = readNumbers(args, { minutes: 5, senders: 6, port: 8591 })
  const all = { ...plan, seconds: 60 * minutes, say: console.log }
  return (await uploadAtRandom(all)).length === 0
}

export const soakUploads = { about, run }

const cutShare = 0.25
const killMeanMs = 6000
const finalMs = 120_000
const points = [
  'uploading',
  'body-whole',
  'unpacking',
  'tree-kept',
  'record-made',
  'promised',
  'upload-made',
  'upload-written',
  'upload-synced',
  'upload-recorded',
  'upload-used',
  'pack-synced',
  'pack-linking',
  'tree-linking',
  'tree-joining',
]

/** Returns what was wrong. */
export async function uploadAtRandom(plan: UploadsPlan): Promise<string[]> {
  const { seed, seconds, say } = plan
  say(`soak: seed ${seed}`)
  await using world = await startWorld({ daemonPort: plan.port })
  const ledger = new Ledger()
  const over = AbortSignal.timeout(seconds * 1000)
  const lines = Array.from(
    { length: plan.senders },
    (_, at) => new Line(world, new Random(seed, 'line', at), cutShare),
  )
  await Promise.all([
    ...lines.map((line, at) =>
      sendUntil({
        line,
        app: `app-${at}`,
        random: new Random(seed, 'sender', at),
        ledger,
        signal: over,
      }),
    ),
    killUntil(world, new Random(seed, 'kills'), over),
  ])
  for (const line of lines) line.close()

  await judge(world, ledger)
  const cuts = lines.reduce((sum, line) => sum + line.cuts, 0)
  const kills = world.gateway.kills
  await world.startAgain(async () => {
    const { code, out } = await world.run('fsck')
    if (code !== 0) ledger.fault(`fsck ended with ${code}: ${out}`)
    await ageByADay(world.data)
  })
  const left = await leftOver(world.data)
  for (const fault of ledger.faults) say(`LOST: ${fault}`)
  for (const name of left) say(`LEFT OVER: ${name}`)
  say(`soak: ${ledger.summary}, ${cuts} cut lines, ${kills} kills`)
  say(`soak: ${ledger.faults.length} lost, ${left.length} left over`)
  return [...ledger.faults, ...left]
}

async function sendUntil(sender: Sender): Promise<void> {
  const { random, signal } = sender
  let source: RandomSource | undefined
  let base: RandomSource | null = null
  while (!signal.aborted) {
    if (random.fraction() < 0.4) await attackOnce(sender)
    source = randomSource(random, source)
    const door = random.oneOf(['direct', 'resumable', 'tree'])
    if (door === 'direct') await sendDirect(sender, source)
    else if (door === 'resumable') await sendResumable(sender, source)
    else base = await sendTree(sender, source, base)
  }
}

/** Kills the gateway at any moment, or at a crash point of the way of a source to the disk. */
async function killUntil(world: World, random: Random, signal: AbortSignal): Promise<void> {
  const { gateway } = world
  while (!signal.aborted) {
    await sleep(killMeanMs / 2 + random.upTo(killMeanMs), undefined, { signal }).catch(() => {})
    if (signal.aborted) break
    await gateway.up
    if (random.fraction() < 0.4) gateway.kill()
    else gateway.killAt(random.oneOf(points), 1 + random.upTo(20))
  }
  gateway.killAt('none', 1)
}

/** Everything that was answered is there, with its source, and comes to an end. */
async function judge(world: World, ledger: Ledger): Promise<void> {
  const { gateway } = world
  await gateway.up
  for (const [id, digest] of ledger.deployments) {
    await gateway.call('POST', fill(routes.cancel, { id }))
    const { status, body } = await finalOf(world, id)
    const found = (body as { source?: { digest: string } } | null)?.source?.digest
    if (status !== 200) ledger.fault(`deployment ${id} is not there: ${status}`)
    else if (found !== digest) ledger.fault(`deployment ${id} has ${found}, not ${digest}`)
  }
  for (const id of await unfinished(gateway)) {
    // Its sender never got the answer, and the source is in use until it ends.
    await gateway.call('POST', fill(routes.cancel, { id }))
    await finalOf(world, id)
  }
  for (const death of gateway.deaths) ledger.fault(`the gateway ended: ${death}`)
}

/** The newest hundred alone: a soak makes fewer. */
async function unfinished(gateway: World['gateway']): Promise<string[]> {
  const { body } = await gateway.call('GET', `${routes.allDeployments}?limit=100`)
  const { deployments } = body as { deployments: Deployment[] }
  return deployments.filter(({ state }) => !isFinal(state)).map(({ id }) => id)
}

async function finalOf({ gateway }: World, id: string) {
  const deadline = performance.now() + finalMs
  for (;;) {
    const answer = await gateway.call('GET', fill(routes.deployment, { id }))
    const state = (answer.body as { state?: Parameters<typeof isFinal>[0] } | null)?.state
    if (performance.now() > deadline || (state && isFinal(state))) return answer
    await sleep(50)
  }
}
