import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { findCheckout, packCheckout } from '../../../client/src/up/image/checkout.ts'
import { startFly, token, up } from './start-fly.ts'

const root = join(import.meta.dirname, '../../..')
const digest = `sha256:${'c'.repeat(64)}`
const tools = mkdtempSync(join(tmpdir(), 'buildctl-'))
afterAll(() => rmSync(tools, { recursive: true }))

/** A stand-in for `buildctl-daemonless.sh` of stock BuildKit. It keeps what it was asked. */
const buildctl = (end: string) => `#!/bin/sh
echo "$@" >${tools}/asked
cp "$HOME/.docker/config.json" ${tools}/login
ls context context/gateway >${tools}/context
echo '#1 [internal] load build definition from Dockerfile'
printf '#2 [packages 1/2] RUN '
sleep 3
echo 'npm ci'
echo '#2 0.5 added 40 packages'
echo '#3 [2/2] COPY api api'
echo '#2 [packages 1/2] RUN npm ci'
echo '#2 0.6 found 0 vulnerabilities'
${end}
`
const good = `echo '{"containerimage.digest": "${digest}"}' >metadata.json`
beforeEach(() => write(good))
const write = (end: string) =>
  writeFileSync(join(tools, 'buildctl-daemonless.sh'), buildctl(end), { mode: 0o755 })

test('without --image, a machine builds the image from the checkout, pushes it and goes', async () => {
  await using fly = await startFly()
  fly.containers.processes.set('moby/buildkit', tools)
  const { notes } = await up(fly, { image: null }, undefined, import.meta.dirname)

  const app = 'tarmac-personal'
  const [machine] = fly.state.machinesOf(app)
  expect(fly.inventory().machines).toEqual(['tarmac-builder started fra'])
  expect(machine!.config.image).toBe(`registry.fly.io/${app}@${digest}`)
  const asked = readFileSync(join(tools, 'asked'), 'utf8')
  expect(asked).toMatch(
    /--output type=image,name=registry\.fly\.io\/tarmac-personal:builder-\w+,push=true/,
  )
  const auth = Buffer.from(`x:${token}`).toString('base64')
  expect(JSON.parse(readFileSync(join(tools, 'login'), 'utf8'))).toEqual({
    auths: { 'registry.fly.io': { auth } },
  })
  expect(readFileSync(join(tools, 'context'), 'utf8').split('\n')).toEqual(
    expect.arrayContaining(['api', 'fly', 'gateway', 'package.json', 'Dockerfile', 'src']),
  )
  const steps = notes.filter((note) => note.startsWith('#'))
  expect(steps).toEqual(['#2 [packages 1/2] RUN npm ci', '#3 [2/2] COPY api api'])
  expect(notes.join('\n')).toMatch(/builds it from [^]*: built and pushed in \d+ s\n/)
  // The token of the registry is in no machine's config.
  expect(
    JSON.stringify([...fly.state.machines.values()].map(({ config }) => config)),
  ).not.toContain(token)
}, 120_000)

test('a build that fails shows its last lines, and leaves no machine', async () => {
  write('echo "#3 ERROR: npm error 404"; exit 7')
  await using fly = await startFly()
  fly.containers.processes.set('moby/buildkit', tools)
  const failed = up(fly, { image: null }, undefined, import.meta.dirname)
  await expect(failed).rejects.toThrow(
    /ended with exit code 7\. Its last lines:\n[^]*added 40 packages\n[^]*\n {2}#3 ERROR: npm error 404\n/,
  )
  expect(fly.inventory().machines).toEqual([])
}, 120_000)

test('outside a checkout --image is required, and said', async () => {
  await using fly = await startFly()
  await expect(up(fly, { image: null })).rejects.toThrow('tarmac up --image REF')
})

test('the packed checkout is the same each time, and smaller than 1 MiB', async () => {
  expect(await findCheckout(join(root, 'client/src'))).toBe(root)
  const packed = await packCheckout(root)
  expect(packed.length).toBeLessThan(1024 * 1024)
  expect((await packCheckout(root)).equals(packed)).toBe(true)
})
