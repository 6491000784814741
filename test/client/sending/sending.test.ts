import { randomBytes } from 'node:crypto'
import { chmodSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startSending } from './sending-gateway.ts'

vi.setConfig({ testTimeout: 60_000 }) // many processes on few cores

const kib = 1024
const mib = 1024 * kib
const many = (count: number, bytes: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`f/${n}`, randomBytes(bytes)]))

test('after the first deploy of a folder only what changed is sent, and of an unchanged one no file', async () => {
  await using gateway = await startSending()
  const { proxy } = gateway
  gateway.write({ 'fly.toml': '', 'run.sh': '#!/bin/sh\n', ...many(200, 10 * kib) })
  const first = gateway.deploy()
  expect([await first.code, first.err]).toEqual([0, expect.stringContaining('sent 202 files, ')])
  expect(proxy.sentBytes).toBeGreaterThan(2000 * kib)

  gateway.write({ 'f/7': randomBytes(10 * kib) })
  proxy.sentBytes = 0
  const second = gateway.deploy()
  expect([await second.code, second.err]).toEqual([
    0,
    expect.stringMatching(
      /sent 1 of 202 files, .* of 2\.0 MB, in .*; 201 files were there already/,
    ),
  ])
  expect(proxy.sentBytes).toBeLessThan(16 * kib)
  expect((await gateway.newest()).source!.digest).toBe(await gateway.digestOfTar())

  proxy.sentBytes = 0
  const third = gateway.deploy('--json')
  expect(await third.code).toBe(0)
  expect(third.out).toMatch(/"type":"uploaded".*"files":202,.*"sentFiles":0,"sentBytes":\d+/)
  expect(proxy.sentBytes).toBeLessThan(4 * kib)
})

test('links, modes and odd names arrive as in an archive of GNU tar', async () => {
  await using gateway = await startSending()
  const odd = [
    'a b',
    'ü',
    'u\u0308',
    '-rf',
    'new\nline',
    '"quoted"',
    "it's",
    'back\\slash',
    '\u{1F600}',
  ]
  gateway.write({ ...many(120, 10 * kib), 'run.sh': 'x', 'deep/er/est': 'y' })
  expect(await gateway.deploy().code).toBe(0)

  gateway.write(Object.fromEntries(odd.map((name) => [`odd/${name}`, name])))
  chmodSync(join(gateway.folder, 'run.sh'), 0o755)
  chmodSync(join(gateway.folder, 'f/1'), 0o700)
  symlinkSync('../f/1', join(gateway.folder, 'odd/link'))
  symlinkSync('/nowhere', join(gateway.folder, 'absolute'))
  renameSync(join(gateway.folder, 'f/2'), join(gateway.folder, 'f/moved'))
  rmSync(join(gateway.folder, 'deep'), { recursive: true })
  const run = gateway.deploy()
  expect([await run.code, run.err]).toEqual([0, expect.stringContaining('were there already')])
  expect((await gateway.newest()).source!.digest).toBe(await gateway.digestOfTar())
})

test('a line that breaks in an archive and in packs costs only what was on the way', async () => {
  await using gateway = await startSending()
  gateway.write(many(500, 20 * kib))
  gateway.proxy.cutAfter(3 * mib)
  const run = gateway.deploy('--compress', 'none')
  await expect.poll(() => run.err, { timeout: 20_000 }).toContain('Trying again')
  // From now on packs are sent. One of them breaks too.
  gateway.proxy.cutAfter(6 * mib)
  expect([await run.code, run.err]).toEqual([0, expect.stringContaining('sent ')])
  const { source } = await gateway.newest()
  expect(source).toMatchObject({ files: 500, digest: await gateway.digestOfTar() })
})

test('a large file goes on after a break where the gateway has it on disk', async () => {
  await using gateway = await startSending()
  gateway.write(many(120, 10 * kib))
  expect(await gateway.deploy().code).toBe(0)
  const size = 50 * mib
  gateway.write({ large: randomBytes(size) })
  gateway.proxy.sentBytes = 0
  gateway.proxy.cutAfter(40 * mib)
  const run = gateway.deploy()
  expect([await run.code, run.err]).toEqual([0, expect.stringContaining('sent 1 of 121 files')])
  expect(gateway.proxy.sentBytes).toBeLessThan(size + 17 * mib)
  expect((await gateway.newest()).source!.digest).toBe(await gateway.digestOfTar())
})

test('a file that changes while it is sent arrives as it is then', async () => {
  await using gateway = await startSending()
  gateway.write(many(120, 10 * kib))
  expect(await gateway.deploy().code).toBe(0)
  gateway.write({ ...many(120, 10 * kib), 'f/last': 'early' })
  // The manifest is on its way: the file is no longer what it says.
  gateway.proxy.onSent = () => {
    gateway.proxy.onSent = () => {}
    writeFileSync(join(gateway.folder, 'f/last'), 'later')
  }
  const run = gateway.deploy()
  expect([await run.code, run.err]).toEqual([
    0,
    expect.stringContaining('f/last changed while it was sent. Sending what it is now.'),
  ])
  expect((await gateway.newest()).source!.digest).toBe(await gateway.digestOfTar())
})

test('an interrupt while a pack is sent ends with 130, and the next deploy sends the rest', async () => {
  await using gateway = await startSending()
  gateway.write(many(120, 10 * kib))
  expect(await gateway.deploy().code).toBe(0)
  gateway.write(many(400, 200 * kib))
  gateway.proxy.sentBytes = 0
  const run = gateway.deploy()
  await expect.poll(() => gateway.proxy.sentBytes, { timeout: 20_000 }).toBeGreaterThan(2 * mib)
  run.child.kill('SIGINT')
  expect([await run.code, run.err]).toEqual([
    130,
    expect.stringContaining('has accepted no deployment'),
  ])
  expect(await gateway.deploy().code).toBe(0)
  expect((await gateway.newest()).source!.digest).toBe(await gateway.digestOfTar())
})
