import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { verifyIsolation } from '../../gateway/src/isolation/probe.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { isRight, tryIsolation } from '../../lab/canary/canary.ts'
import { listenAt } from '../../lab/canary/kernel-targets.ts'
import { startBuildkitd, traceSocketOf } from '../../lab/parts/buildkitd.ts'

async function folder() {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-network-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('a build reaches the public network and nothing else, and each target is there to be reached', async () => {
  const rows = await tryIsolation({ dir: await folder(), port: 6400 })
  expect(rows.filter(({ open }) => !open).length).toBeGreaterThanOrEqual(25)
  expect(rows.filter((row) => !isRight(row))).toEqual([])
  for (const what of [
    /^socket: .* for traces/,
    /^socket: without a path/,
    /^device: /,
    /^file to write/,
    /^control groups/,
  ])
    expect(rows.map((row) => row.what)).toContainEqual(expect.stringMatching(what))
})

test('the proof at the start fails without isolation, names what was reached, and passes with it', async () => {
  const dir = await folder()
  await using daemon = await startBuildkitd({ dir, registryPort: 6499 })
  await using buildkit = await Buildkit.open({
    address: daemon.address,
    contextPort: 6498,
    key: Buffer.from('key'),
    loginFor: () => null,
    images: { allowed: [], frontends: [], own: 'registry.invalid', refreshMs: 0 },
  })
  const prove = (bridge: string) =>
    verifyIsolation(
      buildkit,
      { bridge, dns: [], allow: [], ports: [6498] },
      AbortSignal.timeout(20_000),
    )
  await expect(prove('')).rejects.toMatchObject({
    code: 'not-ready',
    message: /a build step reaches this machine at/,
  })

  const proven = await prove(daemon.bridge.name)
  expect(proven).toMatch(
    /^a build step reached none of \d+ addresses, sockets and devices of this machine$/,
  )

  // as a daemon leaves it when nobody removes its socket
  const traces = await listenAt(traceSocketOf(dir))
  await expect(prove(daemon.bridge.name)).rejects.toMatchObject({
    code: 'not-ready',
    message: expect.stringContaining('socket /dev/otel-grpc.sock'),
  })
  await traces[Symbol.asyncDispose]()
  await expect(prove(daemon.bridge.name)).resolves.toMatch(/sockets and devices of this machine$/)
})
