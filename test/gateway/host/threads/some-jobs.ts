import { threadId } from 'node:worker_threads'
import { Problem } from '#api/problem.ts'
import { serveJobs } from '../../../../gateway/src/host/threads/serve-jobs.ts'

/** Jobs for the test of `ThreadPool`. */
serveJobs({
  async echo(data, port) {
    port.sendValue(data)
    await port.closed
  },
  async thread(_, port) {
    port.sendValue(threadId)
    await port.closed
  },
  async wait(_, port) {
    port.sendValue('waiting')
    await port.value()
    port.sendValue('done')
    await port.closed
  },
  async count(_, port) {
    port.sendValue('waiting')
    await port.value()
    let bytes = 0
    for await (const piece of port.pieces()) bytes += piece.length
    port.sendValue(bytes)
    await port.closed
  },
  async refuse() {
    const inner = Object.assign(new Error('inner'), { code: 'ENOSPC' })
    throw new Problem('no-space', 'Full.', {
      facts: { at: 7 },
      cause: new Error('outer', { cause: inner }),
    })
  },
  async eat() {
    const held: unknown[] = []
    for (;;) held.push(Array.from({ length: 100_000 }, (_, i) => `${i}`))
  },
})
