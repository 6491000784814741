import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { Preview } from '#api/previews/preview.ts'
import { freePort } from '../../lab/parts/ports.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { type CrashLab, startCrashLab } from './crash-lab.ts'
import { pageApp } from './start.ts'
import { startEnv } from '../start-env.ts'

const run = promisify(execFile)
// A known answer of bcrypt: of golang.org/x/crypto/bcrypt, bcrypt_test.go.
const password = 'allmine'
const htpasswd = 'reader:$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga'

let lab: CrashLab
/** The registry of others: a real one, private. */
let theirs: string
const closing = new AsyncDisposableStack()

// One image, built by the gateway and then moved to the other registry, away from all apps.
beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-theirs-'))
  closing.defer(() => rm(dir, { recursive: true }))
  const port = await freePort(19_000 + (process.pid % 500))
  theirs = `127.0.0.1:${port}`
  const auth = Buffer.from(`reader:${password}`).toString('base64')
  await mkdir(join(dir, 'logins'))
  for (const app of ['guestbook', 'users', 'plain'])
    await writeFile(
      join(dir, `logins/${app}.json`),
      JSON.stringify({ auths: { [theirs]: { auth } } }),
    )

  lab = await startCrashLab({
    TARMAC_PLAIN_HTTP: theirs,
    TARMAC_DOCKER_CONFIG: join(dir, 'logins/{app}.json'),
  })
  closing.use(lab)
  const built = await lab.end(await lab.submit('seed', pageApp('from elsewhere'), 'deploy=false'))
  expect(built.record.state).toBe('built')

  const from = join(lab.dir, 'registry/docker/registry/v2')
  const to = join(dir, 'registry/docker/registry/v2')
  await mkdir(join(to, 'repositories/acme'), { recursive: true })
  await run('cp', ['-a', join(from, 'blobs'), to])
  await run('cp', ['-a', join(from, 'repositories/seed'), join(to, 'repositories/acme/guestbook')])
  closing.use(await startRegistry({ dir, port, htpasswd }))
  tag = `deployment-${built.record.id}`
  digest = built.record.image!.digest
}, 180_000)
afterAll(() => closing.disposeAsync())

let [tag, digest] = ['', '']
const imageRef = () => `${theirs}/acme/guestbook:${tag}`

async function post(app: string, body: object): Promise<Deployment> {
  const answer = await fetch(`${lab.gateway}/v1/apps/${app}/deployments`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(202)
  return (await answer.json()) as Deployment
}
const inOwnRegistry = async (app: string) =>
  (
    await fetch(`http://${lab.registry}/v2/${app}/manifests/${digest}`, {
      headers: {
        accept: 'application/vnd.oci.image.manifest.v1+json',
        authorization: `Basic ${Buffer.from(`x:${lab.flyToken}`).toString('base64')}`,
      },
    })
  ).status

test('a private image of another registry becomes a live app, and its record says from where', async () => {
  const { id } = await post('guestbook', { source: { image: imageRef() } })
  const { record, states, log } = await lab.end(id)
  expect(record.problem).toBe(null)
  expect(states).toEqual(['pending', 'pushing', 'deploying', 'verifying', 'live'])
  expect(await lab.page('guestbook')).toBe('from elsewhere')
  expect(record).toMatchObject({
    requestedImage: { reference: imageRef(), digest },
    image: { digest, tags: [`deployment-${id}`] },
  })
  expect(record.image!.reference).toMatch(new RegExp(`/guestbook@${digest}$`))
  const notes = log.flatMap((event) => (event.type === 'note' ? [event.text] : []))
  expect(notes).toContainEqual(expect.stringMatching(/^Copying .* layers, [\d.]+ MB, to /))
  expect(notes).toContainEqual(expect.stringMatching(/^Copied \d+ of \d+ parts/))
  expect(JSON.stringify([record, log])).not.toContain(password)
}, 60_000)

test('an app without a login for the registry gets an error that says what to do', async () => {
  const { id } = await post('stranger', { source: { image: imageRef() } })
  const { record } = await lab.end(id)
  expect(record).toMatchObject({
    state: 'build_failed',
    problem: {
      code: 'image-forbidden',
      detail: expect.stringContaining(`tarmac registries add ${theirs}`),
    },
  })
}, 60_000)

test('each owner of a shared app gets the image on machines of their own', async () => {
  for (const owner of ['ada', 'bob']) {
    const { id } = await post('users', {
      source: { image: imageRef() },
      owner,
      env: { FOR: owner },
    })
    expect((await lab.end(id)).record).toMatchObject({ state: 'live', owner, release: 1 })
  }
  expect(await lab.machines('users')).toHaveLength(2)
}, 60_000)

test('previews run an image from the repository of the app that they belong to, which has one copy', async () => {
  const preview = async (owner: string) => {
    const asked = { app: 'guestbook', owner, source: { image: imageRef() }, env: { FOR: owner } }
    const answer = await fetch(`${lab.gateway}/v1/previews?wait=true`, {
      method: 'POST',
      headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(asked),
    })
    expect(answer.status).toBe(201)
    const { deployment, flyApp } = (await answer.json()) as Preview
    expect(await lab.page(flyApp)).toBe('from elsewhere')
    return lab.end(deployment)
  }
  for (const { record, log } of [await preview('ada'), await preview('bob')]) {
    expect(record.image!.reference).toMatch(new RegExp(`/guestbook@${digest}$`))
    const notes = log.flatMap((event) => (event.type === 'note' ? [event.text] : []))
    expect(notes).toContainEqual(expect.stringMatching(/It is in .*\/guestbook already\.$/))
    expect(notes.filter((text) => text.startsWith('Cop'))).toEqual([])
  }
}, 60_000)

test('[build] image of fly.toml is deployed instead of a build', async () => {
  const toml = `app = "plain"\n[build]\nimage = "${imageRef()}"\n[http_service]\ninternal_port = 8080\n`
  const { record, states } = await lab.end(await lab.submit('plain', { 'fly.toml': toml }))
  expect(record.problem).toBe(null)
  expect(states).toEqual([
    'pending',
    'fetching',
    'analyzing',
    'building',
    'pushing',
    'deploying',
    'verifying',
    'live',
  ])
  expect(record).toMatchObject({ plan: { builder: 'none' }, requestedImage: { digest } })
  expect(await lab.page('plain')).toBe('from elsewhere')
}, 60_000)

test('a promotion gives another app the image in its own repository', async () => {
  const { id } = await post('shop', { source: { release: 'newest', app: 'guestbook' } })
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', from: { app: 'guestbook', release: 1 } })
  expect(record.image!.reference).toMatch(new RegExp(`/shop@${digest}$`))
  expect(log).toContainEqual(
    expect.objectContaining({ text: expect.stringContaining('taken over within the registry') }),
  )
  expect(await inOwnRegistry('shop')).toBe(200)
}, 60_000)

test('the same by the client: image and promote follow to the end, and print the address', async () => {
  const tarmac = (...args: string[]) =>
    run(process.execPath, [join(import.meta.dirname, '../../client/src/main.ts'), ...args], {
      env: { ...startEnv, TARMAC_GATEWAY: lab.gateway, TARMAC_TOKEN: lab.token },
    })
  const image = await tarmac('image', 'guestbook', imageRef(), '--env', 'A=1')
  expect(image.stdout).toMatch(/^http.*guestbook.*\n$/)
  expect(image.stderr).toContain('=> pushing')
  const promoted = await tarmac('promote', 'guestbook', '--to', 'mirrored')
  expect(promoted.stdout).toMatch(/^http.*mirrored.*\n$/)

  const failed = await tarmac('image', 'guestbook', `${theirs}/acme/guestbook:none`).catch(
    (error: { code: number; stderr: string }) => error,
  )
  expect(failed).toMatchObject({ code: 11, stderr: expect.stringContaining('has no image') })
}, 90_000)

test('a gateway that is killed while it copies goes on with the same digest', async () => {
  let id = ''
  await lab.dies('pushing', async () => {
    id = (await post('guestbook', { source: { image: imageRef() }, tag: ['again'] })).id
    await lab.end(id)
  })
  await lab.start('gateway')
  const { record, states } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', requestedImage: { digest } })
  expect(states.filter((state) => state === 'pushing')).toHaveLength(2)
}, 90_000)
