import { expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { analyze } from '../../../gateway/src/pipeline/analyze.ts'

test('the log begins with what the gateway left out of the archive', async () => {
  const events: NewEvent[] = []
  const source = { digest: '', files: 0, sizeBytes: 0, leftOut: ['Left out 3 files …'] }
  const work = {
    deployment: { source, options: { config: null }, from: null },
    get tree() {
      return new Proxy({}, { get: () => stop() }) // nothing of the source is needed here
    },
    emit: (event: NewEvent) => events.push(event),
  } as unknown as Parameters<typeof analyze>[0]
  const deps = { store: {} } as unknown as Parameters<typeof analyze>[1]
  await expect(analyze(work, deps)).rejects.toThrow('far enough')
  expect(events).toEqual([{ type: 'note', text: 'Left out 3 files …' }])
})

function stop(): never {
  throw new Problem('internal', 'far enough')
}
