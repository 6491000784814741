import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a container used: memory now, CPU since its start in the kernel's ticks of 0.01 s. */
export type Usage = { memoryBytes: number; userTicks: number; systemTicks: number }

const root = '/sys/fs/cgroup'
const microsecondsPerTick = 10_000

/** Reads the control group of a process, of version 1 or 2. Null: the process has ended. */
export async function usageOf(pid: number): Promise<Usage | null> {
  try {
    const groups = await file(`/proc/${pid}/cgroup`)
    const of = (controller: string) =>
      new RegExp(`^\\d+:(?:\\w+,)*${controller}(?:,\\w+)*:(.+)$`, 'm').exec(groups)?.[1]
    const [memory, cpu] = [of('memory'), of('cpuacct')]
    if (memory !== undefined && cpu !== undefined) {
      const folder = join(root, 'memory', memory)
      const used = Number(await file(join(folder, 'memory.usage_in_bytes')))
      const stat = numbersOf(await file(join(folder, 'memory.stat')))
      const ticks = numbersOf(await file(join(root, 'cpuacct', cpu, 'cpuacct.stat')))
      return {
        memoryBytes: used - (stat['total_inactive_file'] ?? 0),
        userTicks: ticks['user'] ?? 0,
        systemTicks: ticks['system'] ?? 0,
      }
    }

    const folder = join(root, /^0::(.+)$/m.exec(groups)?.[1] ?? '')
    const used = Number(await file(join(folder, 'memory.current')))
    const stat = numbersOf(await file(join(folder, 'memory.stat')))
    const times = numbersOf(await file(join(folder, 'cpu.stat')))
    return {
      memoryBytes: used - (stat['inactive_file'] ?? 0),
      userTicks: Math.floor((times['user_usec'] ?? 0) / microsecondsPerTick),
      systemTicks: Math.floor((times['system_usec'] ?? 0) / microsecondsPerTick),
    }
  } catch {
    return null
  }
}

const file = (path: string): Promise<string> => readFile(path, 'utf8')

/** Lines of a name and a number. */
const numbersOf = (text: string): Record<string, number> =>
  Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const [name, value] = line.split(' ')
      return name && value ? [[name, Number(value)]] : []
    }),
  )
