import { fork } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { fill, routes } from '../api/routes.ts'
import { startLab, type Lab } from '../lab/start-lab.ts'
import type { BroadcastOrder } from './broadcast-process.ts'
import type { Followed, FollowOrder } from './followers-process.ts'
import type { Measure } from './measure.ts'
import { heard, quantile, startReaders } from './readers.ts'
import { ask, deployTalker, memoryMiB, perSecond } from './talker.ts'

const about =
  'thousands of readers of one log at once, compared with a bare `ws` broadcast: [--readers 10000] [--seconds 30] [--processes 2]'
/** Of our p99 to that of a bare broadcast of the same bytes to as many readers, in the same run. */
const goal = { ratio: 1.5, gatewayMiB: 250 }
const options = {
  readers: { type: 'string', default: '10000' },
  seconds: { type: 'string', default: '30' },
  processes: { type: 'string', default: '2' },
  port: { type: 'string', default: '8451' },
  dir: { type: 'string', default: '.lab-bench' },
} as const

/**
 * A build step prints four lines a second. Readers in their own processes follow its deployment
 * over loopback. The measured time is from the event's own time to its arrival at each reader, once
 * all of them are connected.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({ args, options })
  const [readers, seconds, processes] = [
    Number(values.readers),
    Number(values.seconds),
    Number(values.processes),
  ]
  const crowd = { readers, seconds, processes }
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    fresh: true,
    say: (line) => console.log(line),
  })
  const idleMiB = await memoryMiB(lab, 'VmRSS')
  const id = await deployTalker(lab, 'bench-followers')
  const target = { token: lab.token, id }
  let cpu = 0
  const ours = await followedBy(crowd, Number(new URL(lab.gateway).port), target, {
    begun: async () => void (cpu = await cpuSeconds(lab)),
    measured: async () => void (cpu = (await cpuSeconds(lab)) - cpu),
    end: () => ask(lab, fill(routes.cancel, { id }), 'POST'),
  })
  const gatewayMiB = await memoryMiB(lab, 'VmHWM')
  const last = await lastSeq(lab, id)
  const gaps = ours.gaps + ours.ends.filter((seq) => seq !== last).length
  const lost = readers - ours.ends.length

  using bare = await startBroadcast(await messageOf(lab, id))
  const end = () => bare[Symbol.dispose]()
  const theirs = await followedBy(crowd, bare.port, 'broadcast', { end })
  const ratio = Math.round((ours.p99Ms / theirs.p99Ms) * 1000) / 1000
  const whole = gaps + lost + theirs.gaps === 0
  return [
    {
      bench: 'followers',
      ratio,
      goal: goal.ratio,
      ok: ratio <= goal.ratio && whole && gatewayMiB <= goal.gatewayMiB,
      ...crowd,
      ...facts(ours),
      theirs: facts(theirs),
      gaps,
      lost,
      gatewayMiB,
      idleMiB,
      gatewayCores: Math.round((cpu / seconds) * 100) / 100,
    },
  ]
}

type Crowd = { readers: number; seconds: number; processes: number }
type Moments = {
  begun?: () => Promise<void>
  measured?: () => Promise<void>
  end: () => unknown
}

/** Lets a crowd of readers follow one target for a time. `end` closes their connections. */
async function followedBy(
  { readers, seconds, processes }: Crowd,
  port: number,
  target: FollowOrder['target'],
  { begun, measured, end }: Moments,
) {
  const share = Math.ceil(readers / processes)
  const children = Array.from({ length: processes }, (_, n) =>
    startReaders({
      port,
      target,
      readers: Math.min(share, readers - n * share),
      from: `127.0.1.${n + 1}`,
    }),
  )
  try {
    await Promise.all(children.map(heard))
    console.log(
      `  ${readers} readers of ${target === 'broadcast' ? 'ws' : 'the gateway'} are there`,
    )
    await begun?.()
    for (const child of children) child.send('measure')
    await sleep(seconds * 1000)
    await measured?.()
    for (const child of children) child.send('measured')
    await sleep(1000)
    const ends = children.map((child) => heard(child) as Promise<Followed>)
    await end()
    const found = await Promise.all(ends)
    const sum = (value: (followed: Followed) => number) =>
      found.reduce((all, each) => all + value(each), 0)
    const delivered = sum((each) => each.timesMs.reduce((all, count) => all + count, 0))
    return {
      p50Ms: quantile(found, 0.5 * delivered),
      p99Ms: quantile(found, 0.99 * delivered),
      mostMs: quantile(found, delivered),
      delivered,
      eventsPerSecond: Math.round((delivered / readers / seconds) * 10) / 10,
      gaps: sum((each) => each.gaps),
      ends: found.flatMap((each) => each.ends),
    }
  } finally {
    for (const child of children) child.kill()
  }
}

const facts = ({
  p50Ms,
  p99Ms,
  mostMs,
  delivered,
  eventsPerSecond,
}: Awaited<ReturnType<typeof followedBy>>) => ({ p50Ms, p99Ms, mostMs, delivered, eventsPerSecond })

/** A message of the log as its readers got it, for the broadcast: with marks in place of what changes. */
async function messageOf(lab: Lab, id: string): Promise<string> {
  const headers = { authorization: `Bearer ${lab.token}`, accept: 'text/event-stream' }
  const answer = await fetch(lab.gateway + fill(routes.events, { id }), { headers })
  const message = (await answer.text()).split('\n\n').find((each) => each.includes('line 2'))!
  // A frame of a WebSocket has no end of a line before it.
  return `\n${message}\n\n`.replace(/^id: \d+/m, 'id: NUMBER').replace(/"at":"[^"]+"/, '"at":"AT"')
}

async function startBroadcast(message: string): Promise<Disposable & { port: number }> {
  const order: BroadcastOrder = { message, perSecond }
  const child = fork(join(import.meta.dirname, 'broadcast-process.ts'), [JSON.stringify(order)])
  const port = (await heard(child)) as number
  return { port, [Symbol.dispose]: () => void child.kill() }
}

async function lastSeq(lab: Lab, id: string): Promise<number> {
  const lines = (await (await ask(lab, `${fill(routes.events, { id })}?only=state`)).text())
    .trim()
    .split('\n')
  return (JSON.parse(lines.at(-2)!) as { seq: number }).seq
}

async function cpuSeconds({ gatewayProcess: { pid } }: Lab): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export const followers = { about, run }
