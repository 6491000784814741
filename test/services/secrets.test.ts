import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { freePort } from '../../lab/parts/ports.ts'
import { applianceImagesDir, imagesDir } from '../../lab/ready.ts'
import { type Lab, startLab } from '../../lab/start-lab.ts'

const run = promisify(execFile)
const word = (bytes: number) => randomBytes(bytes).toString('base64url')
const key = `-----BEGIN EC PRIVATE KEY-----\n${word(48)}\n${word(48)}\n-----END EC PRIVATE KEY-----\n`
const secrets: ReadonlyMap<string, string> = new Map(
  Array.from(
    { length: 20 },
    (_, n) => [`SECRET_${n + 1}`, n ? `${word(6)} & "${word(12)}'/é?` : key] as const,
  ),
)
const names = [...secrets.keys()]
/** A text that each build leaves behind, which proves that the search works. */
const mark = `mark-${word(12)}`

let dir: string
let lab: Lab
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-secrets-'))
  lab = await startLab({
    dir: join(dir, 'lab'),
    port: await freePort(17_200),
    settings: { TARMAC_LOG_LEVEL: 'debug' },
  })
})
afterAll(async () => {
  await lab[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

test('20 secrets reach the steps of a railpack plan and of a Dockerfile, and are found nowhere afterwards', async () => {
  for (const name of names.slice(0, 10)) await kept(name)
  const written: string[] = []
  const built = async (files: Record<string, string>) => {
    const { record, log } = await deploy(files)
    const text = log.map((event) => (event.type === 'log' ? event.text : '')).join('\n')
    expect(record, text).toMatchObject({ state: 'built' })
    expect(text).toContain(`all ${names.length} are right`)
    expect(text).toContain('plain ***')
    expect(text).toContain('***\n***')
    written.push(JSON.stringify([record, log]))
  }
  await built(
    withDockerfile(`RUN ${mounts('')} sh check.sh file`, `RUN ${mounts(',env=')} sh check.sh env`),
  )
  await built({
    ...checked,
    'package.json': JSON.stringify({
      name: 'x',
      scripts: { build: 'sh check.sh env', start: 'node .' },
    }),
    'index.js': '',
  })
  const failing = await deploy(withDockerfile(`RUN ${mounts('')} sh check.sh file && exit 7`))
  expect(failing.record.problem).toMatchObject({ code: 'build-failed', exitCode: 7 })
  expect((failing.record.problem!['lastLines'] as string[]).join('\n')).toContain('***')
  written.push(JSON.stringify(failing))
  expect(await listed()).toEqual(names.slice(0, 10).toSorted())

  const patterns = [...new Set([...secrets.values()].flatMap(printed))]
  expect(patterns.filter((pattern) => written.some((text) => text.includes(pattern)))).toEqual([])
  expect(await found(patterns)).toEqual([])
  const marked = await found([mark])
  expect(marked.some((place) => place.includes('blob in the registry'))).toBe(true)
  expect(marked.some((place) => place.includes('tarmac.db'))).toBe(true)
})

test('a step that had a secret is not taken from the cache for an app without it', async () => {
  const mount = '--mount=type=secret,id=SECRET_1'
  const files = {
    Dockerfile: `FROM debian:trixie-slim\nRUN ${mount} echo "it has $(ls /run/secrets)"; date > made\n`,
  }
  const said = async (...to: Parameters<typeof deploy>) =>
    (await deploy(...to)).log.flatMap((event) => (event.type === 'log' ? [event.text] : []))
  expect(await said(files, 'keeper', names.slice(0, 1))).toEqual(['it has SECRET_1'])
  expect(await said(files, 'other', [])).toContain('it has ')

  const { record } = await deploy(
    { Dockerfile: `FROM debian:trixie-slim\nRUN ${mount},required=true true\n` },
    'other',
    [],
  )
  expect(record.problem).toMatchObject({
    code: 'build-failed',
    detail: expect.stringContaining('form field secret.SECRET_1'),
  })

  const plan = {
    deploy: { base: { step: 'a' }, startCommand: 'true' },
    steps: [{ name: 'a', inputs: [{ image: 'debian:trixie-slim' }], commands: [{ cmd: 'true' }] }],
    secrets: ['SECRET_1'],
  }
  const planned = await deploy(
    { 'plan.json': JSON.stringify(plan) },
    'other',
    [],
    '&plan=plan.json',
  )
  expect(planned.record.problem).toMatchObject({ code: 'build-failed', secrets: ['SECRET_1'] })
})

const auth = () => ({ Authorization: `Bearer ${lab.token}` })
const keptAt = (name = '') => `${lab.gateway}/v1/apps/vaulted/secrets${name && `/${name}`}`

async function kept(name: string): Promise<void> {
  const answer = await fetch(keptAt(name), {
    method: 'PUT',
    headers: auth(),
    body: secrets.get(name)!,
  })
  expect(answer.status).toBe(200)
}

async function listed(): Promise<string[]> {
  const answer = (await (await fetch(keptAt(), { headers: auth() })).json()) as {
    secrets: { name: string }[]
  }
  return answer.secrets.map(({ name }) => name)
}

const checked = {
  // Checks that each value arrived unchanged, and prints it in many forms. Only its last output
  // stays in the image.
  'check.sh': `right=0
for name in ${names.join(' ')}; do
  if [ "$1" = file ]; then cp /run/secrets/$name /dev/shm/value; else printenv $name | head -c -1 > /dev/shm/value; fi
  if [ "$(sha256sum < /dev/shm/value)" = "$(grep "^$name " hashes | cut -d' ' -f2-)" ]; then right=$((right + 1)); fi
  printf 'plain '; cat /dev/shm/value; echo
  cat /dev/shm/value >&2; echo >&2
  base64 < /dev/shm/value
  (printf x; cat /dev/shm/value) | base64 -w 0; echo
  (printf xy; cat /dev/shm/value) | base64 -w 20; echo
  od -An -v -tx1 /dev/shm/value | tr -d ' '
  perl -0777 -pe 's/([^A-Za-z0-9_.~-])/sprintf("%%%02X", ord $1)/ge' /dev/shm/value; echo
  perl -0777 -CSD -ne 's/\\s+$//; print scalar reverse' /dev/shm/value; echo
  while IFS= read -r line || [ -n "$line" ]; do echo "line by line $line"; done < /dev/shm/value
done
rm /dev/shm/value
echo "all $right are right, ${mark}"
[ $right = ${names.length} ] && echo ${mark} > mark
`,
  hashes: [...secrets].map(([name, value]) => `${name} ${sha256(value)}  -\n`).join(''),
}
const withDockerfile = (...steps: string[]) => ({
  ...checked,
  Dockerfile: [
    'FROM debian:trixie-slim',
    'WORKDIR /check',
    'COPY check.sh hashes .',
    ...steps,
    '',
  ].join('\n'),
})
const mounts = (as: string) =>
  names.map((name) => `--mount=type=secret,id=${name}${as && `${as}${name}`}`).join(' ')
function sha256(value: string): string {
  return createHash('sha256').update(value).digest('hex')
}

/** Half of the secrets already belong to the app. The others come with the deployment. */
async function deploy(
  files: Record<string, string>,
  app = 'vaulted',
  given = names.slice(10),
  more = '',
): Promise<{ record: Deployment; log: DeploymentEvent[] }> {
  const folder = await mkdtemp(join(dir, 'source-'))
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text)
  const tar = await run('tar', ['c', '-C', folder, '.'], { encoding: 'buffer', maxBuffer: 2 ** 20 })
  const form = new FormData()
  for (const name of given) form.set(`secret.${name}`, secrets.get(name)!)
  form.set('source', new Blob([new Uint8Array(tar.stdout)]), 'source.tar')
  const asked = { method: 'POST', headers: auth(), body: form }
  const answer = await fetch(`${lab.gateway}/v1/apps/${app}/deployments?deploy=false${more}`, asked)
  expect(answer.status).toBe(202)

  const { id } = (await answer.json()) as Deployment
  const headers = { ...auth(), Accept: 'application/x-ndjson' }
  const events = await (
    await fetch(`${lab.gateway}/v1/deployments/${id}/events`, { headers })
  ).text()
  const record = (await (
    await fetch(`${lab.gateway}/v1/deployments/${id}`, { headers })
  ).json()) as Deployment
  const log = events
    .split('\n')
    .flatMap((line) => (line ? [JSON.parse(line) as DeploymentEvent] : []))
  return { record, log }
}

/** A value, and each of its lines, in every form that a program could print. */
function printed(value: string): string[] {
  const texts = [value.trim(), ...value.trim().split('\n')].filter(
    (text) => !text.startsWith('-----') || text === value.trim(),
  )
  return texts.flatMap((text) => {
    const bytes = Buffer.from(text)
    const base64 = [0, 1, 2].map((before) => {
      const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
      return encoded.slice(
        Math.ceil((before * 8) / 6),
        Math.floor(((before + bytes.length) * 8) / 6),
      )
    })
    const lined = text.includes('\n') ? [] : [text, Array.from(text).toReversed().join('')]
    // the form that a record or an event would have
    const inJson = lined.map((one) => JSON.stringify(one).slice(1, -1))
    return [...lined, ...inJson, ...base64, bytes.toString('hex'), encodeURIComponent(text)]
  })
}

/** Where the lab's files contain a text: files unchanged, and the contents of registry blobs. */
async function found(patterns: string[]): Promise<string[]> {
  const list = join(dir, 'patterns')
  await writeFile(list, patterns.join('\n'))
  const { stdout } = await run('grep', ['-rlaF', '--exclude-dir=cni', '-f', list, lab.dir], {
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: 2 ** 24,
  }).catch((error: { code: number; stdout: string; stderr: string }) => {
    if (error.code > 1 && !/No such file|No such device/.test(error.stderr)) throw error
    return error
  })
  const blobs = 'docker/registry/v2/blobs/sha256'
  const kept = [imagesDir, applianceImagesDir].map((images) => digests(join(images, blobs)))
  const known = new Set((await Promise.all(kept)).flat())
  const fresh = (await digests(join(lab.dir, 'registry', blobs))).filter(
    (digest) => !known.has(digest),
  )
  expect(fresh.length).toBeGreaterThan(3)

  const unpacked = join(dir, 'unpacked')
  await mkdir(unpacked, { recursive: true })
  const hits: string[] = []
  for (const digest of fresh) {
    const blob = await readFile(join(lab.dir, 'registry', blobs, digest, 'data'))
    const zstd = blob.readUInt32BE(0) === 0x28b52ffd
    const content = zstd
      ? zstdDecompressSync(blob)
      : blob.readUInt16BE(0) === 0x1f8b
        ? gunzipSync(blob)
        : blob
    if (patterns.some((pattern) => content.includes(pattern)))
      hits.push(`blob in the registry ${digest}`)
  }
  return [...stdout.split('\n').filter(Boolean), ...hits]
}

async function digests(folder: string): Promise<string[]> {
  const groups = await readdir(folder).catch(() => [])
  return (
    await Promise.all(
      groups.map(async (group) =>
        (await readdir(join(folder, group))).map((name) => join(group, name)),
      ),
    )
  ).flat()
}
