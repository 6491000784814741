import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { makeSteps } from '../../../gateway/src/pipeline/make-steps.ts'

const never = new AbortController().signal

/** Builds on a machine whose isolation cannot be verified. `short`: the disk was full meanwhile. */
function build(short: boolean): Promise<unknown> {
  let full = false
  const disk = {
    async settled() {
      if (full) throw new Problem('no-space', 'The disk is full.')
    },
    wasShort: async () => (full = short),
  }
  const assertIsolated = () => Promise.reject(new Problem('not-ready', 'The proof failed.'))
  const steps = makeSteps(
    { disk } as unknown as Parameters<typeof makeSteps>[0],
    { assertIsolated, plansDir: '/nowhere', key: new Uint8Array(32) } as unknown as Parameters<
      typeof makeSteps
    >[1],
  )
  return steps.build({
    plan: { builder: 'railpack' },
    desired: {},
    signal: never,
  } as unknown as Parameters<typeof steps.build>[0])
}

test('a build whose isolation cannot be verified fails with that reason', async () => {
  await expect(build(false)).rejects.toMatchObject({ code: 'not-ready' })
})

test('a full disk that makes the proof of isolation fail is the reason given', async () => {
  await expect(build(true)).rejects.toMatchObject({ code: 'no-space' })
})
