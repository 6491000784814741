import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Bridge } from '../../lab/parts/bridge.ts'
import { startBuildkitd, sweepBuildkitd } from '../../lab/parts/buildkitd.ts'
import { freePort } from '../../lab/parts/ports.ts'
import { claimFolder, killRecorded } from '../../lab/parts/process.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { bakedTools, images } from '../../lab/pins.ts'
import { imagesDir, tools } from '../../lab/ready.ts'

const run = promisify(execFile)
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-lab-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

test('a Dockerfile builds from the stand-in images, its steps reach package registries over the bridge, and nothing is left afterwards', async () => {
  let bridge: Bridge
  {
    await using parts = await startParts()
    bridge = parts.bridge
    expect((await leftovers(bridge)).bridges).toHaveLength(1)
    await build(
      parts,
      `FROM node:22-slim
RUN node --version | grep -x v${bakedTools.node} && npm --version | grep -x ${bakedTools.npm}
RUN npm install --prefix /app is-number@7.0.0 && test -f /app/node_modules/is-number/index.js
FROM python:3-slim
RUN python --version | grep ${bakedTools.python} && pip install idna==3.10 && python -c 'import idna'
RUN apt-get update && apt-get install -y --no-install-recommends tree && tree --version
FROM ghcr.io/railwayapp/railpack-builder:mise-2026.8.6
RUN mise --version | grep ${bakedTools.mise} && caddy version | grep ${bakedTools.caddy} && test -d /root/.cache
RUN /mise/installs/python/${bakedTools.python}/bin/python -m venv /venv && /venv/bin/pip --version
ENV MISE_DATA_DIR=/mise MISE_SHIMS_DIR=/mise/shims MISE_IDIOMATIC_VERSION_FILE_ENABLE_TOOLS=go
RUN mkdir /etc/mise && echo 'tools.go = "${bakedTools.go}"' > /etc/mise/config.toml && mise install
RUN echo 'go 1.23.4' > /go.mod && /mise/shims/go version | grep ${bakedTools.go}
`,
    )
  }
  expect(await leftovers(bridge)).toEqual(nothing)
})

test('every stand-in image is served under the names that plans and Dockerfiles use', async () => {
  await using registry = await startRegistry({ dir, port: await freePort(17_000), images: true })
  const accept = [
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.v2+json',
  ]
  for (const name of images.flatMap(({ names }) => names)) {
    const url = `http://${registry.address}/v2/${name.replace(':', '/manifests/')}`
    expect((await fetch(url, { headers: { accept: accept.join(', ') } })).status, name).toBe(200)
  }
})

test('an image pushed over a stand-in image stays in its lab, never in the cache', async () => {
  await using parts = await startParts()
  const pushed = `127.0.0.1:${parts.registryPort}/library/alpine:latest`
  const link = 'docker/registry/v2/repositories/library/alpine/_manifests/tags/latest/current/link'
  const cached = await readFile(join(imagesDir, link), 'utf8')
  await build(parts, 'FROM alpine\nRUN echo other > /other', `type=image,name=${pushed},push=true`)
  expect(await readFile(join(dir, 'registry', link), 'utf8')).not.toBe(cached)
  expect(await readFile(join(imagesDir, link), 'utf8')).toBe(cached)
})

test('a buildkitd that was killed during a step leaves nothing once its folder is swept', async () => {
  let bridge: Bridge
  {
    await using parts = await startParts()
    bridge = parts.bridge
    const building = build(parts, 'FROM alpine\nRUN sleep 300').catch(() => undefined)
    await expect
      .poll(async () => (await run('runc', ['list'])).stdout, { timeout: 30_000 })
      .toContain(dir)
    killRecorded(dir, 'buildkitd')
    await building
    const left = await leftovers(bridge)
    for (const kind of ['mounts', 'bridges', 'rules'] as const)
      expect(left[kind], kind).not.toEqual([])
    await sweepBuildkitd(dir)
    expect((await run('runc', ['list'])).stdout).not.toContain(dir)
  }
  expect(await leftovers(bridge)).toEqual(nothing)
})

test('two parallel daemons have their own bridges and subnets', async () => {
  const other = join(dir, 'other')
  await mkdir(other)
  const registryPort = await freePort(17_000)
  await using first = await startBuildkitd({ dir, registryPort })
  await using second = await startBuildkitd({ dir: other, registryPort })
  expect(second.bridge.name).not.toBe(first.bridge.name)
  expect(second.bridge.subnet).not.toBe(first.bridge.subnet)
})

test('a folder belongs to one running lab at a time', () => {
  {
    using _mine = claimFolder(dir)
    expect(() => claimFolder(dir)).toThrow(`A lab runs in ${dir} already (process ${process.pid})`)
  }
  using _again = claimFolder(dir)
  expect(existsSync(join(dir, 'owner.json'))).toBe(true)
})

test('a part whose port is taken says so', async () => {
  const port = await freePort(17_000)
  await using _registry = await startRegistry({ dir, port })
  await mkdir(join(dir, 'other'))
  await expect(startRegistry({ dir: join(dir, 'other'), port })).rejects.toThrow(
    `Port ${port}, wanted by registry, is taken`,
  )
})

async function startParts() {
  await using opening = new AsyncDisposableStack()
  const registryPort = await freePort(17_000)
  opening.use(await startRegistry({ dir, port: registryPort, images: true }))
  const { address, bridge } = opening.use(await startBuildkitd({ dir, registryPort }))
  const open = opening.move()
  return { registryPort, address, bridge, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

async function build(
  { address }: { address: string },
  dockerfile: string,
  output?: string,
): Promise<void> {
  const context = join(dir, 'context')
  await mkdir(context, { recursive: true })
  // Every stage is built, although only the last would be exported: each stage copies a file from
  // the one before.
  const stages = dockerfile.trim().split(/^(?=FROM )/m)
  const chained = stages.map((stage, index) =>
    index === 0
      ? `${stage.trim()}\nRUN touch /done`
      : `${stage.trim()}\nCOPY --from=${index - 1} /done /done`,
  )
  await writeFile(join(context, 'Dockerfile'), chained.join('\n'))
  const folders = [`--local=context=${context}`, `--local=dockerfile=${context}`]
  const words = [
    '--addr',
    address,
    'build',
    '--progress=plain',
    '--frontend=dockerfile.v0',
    ...folders,
  ]
  await run(tools.buildctl, output === undefined ? words : [...words, `--output=${output}`])
}

const nothing = { mounts: [], processes: [], bridges: [], rules: [], reservations: [] }

/** Everything that a lab in this test's folder could leave on the machine. */
async function leftovers({ name, subnet }: Bridge) {
  const prefix = subnet.replace(/0\/24$/, '')
  const containing = (text: string, ...words: string[]) =>
    text.split('\n').filter((line) => words.some((word) => line.includes(word)))
  return {
    mounts: containing(await readFile('/proc/self/mountinfo', 'utf8'), `${dir}/`),
    processes: containing((await run('ps', ['-eo', 'args'])).stdout, `${dir}/`),
    bridges: containing((await run('ip', ['-brief', 'link'])).stdout, name),
    rules: containing((await run('iptables-save')).stdout, name, prefix),
    reservations: (await readdir('/var/lib/cni/networks/buildkit')).filter((ip) =>
      ip.startsWith(prefix),
    ),
  }
}
