import { describe, expect, test } from 'vitest'
import { flyctlAt, hasFlyctl } from '../flyctl.ts'
import { pageApp, startTestLab } from './start.ts'

describe.skipIf(!hasFlyctl)('a real flyctl and Tarmac, on the same machines', () => {
  test('flyctl shows, configures and deploys what Tarmac made, and Tarmac continues with it', async () => {
    await using lab = await startTestLab()
    const { run: flyctl, end } = flyctlAt(lab.flyApi, lab.flyToken)
    const first = await lab.held('mixed', pageApp('first'))
    expect(first.record.state).toBe('live')

    const { id } = (await lab.machines('mixed'))[0]!
    expect(await flyctl('status -a mixed')).toMatch(
      new RegExp(`app .*${id} .*started .*1 total, 1 passing`),
    )

    expect(await flyctl('releases -a mixed')).toMatch(/v1 .*complete/)
    await flyctl('secrets set WORD=hush -a mixed --dns-checks=false')
    await flyctl(
      `deploy -a mixed --image ${first.record.image!.reference} --ha=false --dns-checks=false -y`,
    )
    expect(await flyctl('status -a mixed')).toMatch(new RegExp(`app .*${id} .*3 .*started`))
    expect(await lab.page('mixed')).toBe('first')

    expect((await lab.held('mixed', pageApp('second'))).record.state).toBe('live')
    expect(await lab.page('mixed')).toBe('second')
    expect(await flyctl('releases -a mixed')).toMatch(/v4 .*complete/)
    expect(await flyctl('secrets list -a mixed')).toMatch(/WORD .*Deployed/)
    expect(await flyctl('machine list -a mixed -q')).toContain(id)
    expect(await lab.machines('mixed')).toHaveLength(1)
    await end()
  })
})
