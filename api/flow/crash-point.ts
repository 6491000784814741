import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

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

/**
 * Does nothing, unless a test orders the process to end here. `docs/crash-points.md` says what
 * happens after a crash at each point.
 */
export function crashPoint(name: string, of = ''): void {
  if (orders !== null) crashAsOrdered(orders, name, of)
}

function crashAsOrdered(file: string, name: string, of: string): void {
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
