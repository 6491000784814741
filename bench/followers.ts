import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { fill, routes } from '../api/routes.ts'
import { startLab, type Lab } from '../lab/start-lab.ts'
import type { Followed, FollowOrder } from './followers-process.ts'
import type { Measure } from './measure.ts'
import { heard, quantile, startReaders } from './readers.ts'
import { ask, deployTalker, memoryMiB } from './talker.ts'

const about =
  'thousands of readers of one log at once: [--readers 10000] [--seconds 60] [--processes 2]'
const goal = { p99Ms: 500, gatewayMiB: 300 }
const options = {
  readers: { type: 'string', default: '10000' },
  seconds: { type: 'string', default: '60' },
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
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    fresh: true,
    say: (line) => console.log(line),
  })
  const idleMiB = await memoryMiB(lab, 'VmRSS')
  const begun: ChildProcess[] = []
  try {
    const id = await deployTalker(lab, 'bench-followers')
    const { port } = new URL(lab.gateway)
    const share = Math.ceil(readers / processes)
    for (let n = 0; n < processes; n++) {
      const order: FollowOrder = {
        port: Number(port),
        token: lab.token,
        id,
        readers: Math.min(share, readers - n * share),
        from: `127.0.1.${n + 1}`,
      }
      begun.push(startReaders(order))
    }
    await Promise.all(begun.map(heard))
    console.log(
      `  ${readers} readers are there; the gateway has ${await memoryMiB(lab, 'VmRSS')} MiB`,
    )
    const cpu = await cpuSeconds(lab)
    for (const child of begun) child.send('measure')
    await sleep(seconds * 1000)
    const busy = ((await cpuSeconds(lab)) - cpu) / seconds
    for (const child of begun) child.send('measured')
    await sleep(1000)
    const gatewayMiB = await memoryMiB(lab, 'VmHWM')
    const ends = begun.map((child) => heard(child) as Promise<Followed>)
    await ask(lab, fill(routes.cancel, { id }), 'POST')
    const found = await Promise.all(ends)
    const last = await lastSeq(lab, id)
    const sum = (value: (followed: Followed) => number) =>
      found.reduce((all, each) => all + value(each), 0)
    const delivered = sum((each) => each.timesMs.reduce((all, count) => all + count, 0))
    const gaps =
      sum((each) => each.gaps) + sum((each) => each.ends.filter((seq) => seq !== last).length)
    const lost = readers - sum((each) => each.ends.length)
    const [p50Ms, p99Ms, mostMs] = [0.5, 0.99, 1].map((share) =>
      quantile(found, share * delivered),
    ) as [number, number, number]
    const ok = p99Ms <= goal.p99Ms && gaps + lost === 0 && gatewayMiB <= goal.gatewayMiB
    const eventsPerSecond = Math.round((delivered / readers / seconds) * 10) / 10
    const facts = {
      readers,
      seconds,
      eventsPerSecond,
      delivered,
      p50Ms,
      p99Ms,
      mostMs,
      gaps,
      lost,
      gatewayMiB,
      idleMiB,
      gatewayCores: Math.round(busy * 100) / 100,
    }
    return [
      {
        bench: 'followers',
        ratio: Math.round((p99Ms / goal.p99Ms) * 1000) / 1000,
        goal: 1,
        ok,
        ...facts,
      },
    ]
  } finally {
    for (const child of begun) child.kill()
  }
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
