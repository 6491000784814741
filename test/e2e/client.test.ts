import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type Files, type TestLab } from './start.ts'
import { startEnv } from '../start-env.ts'

const main = join(import.meta.dirname, '../../client/src/main.ts')
let lab: TestLab
shareLab(
  () => startTestLab(),
  (fresh) => void (lab = fresh),
)

/** Runs `tarmac deploy` as a user does. */
async function tarmac(app: string, files: Files, ...more: string[]) {
  return command(await lab.source(files), 'deploy', app, ...more)
}

function command(folder: string, ...words: string[]) {
  const env = {
    ...startEnv,
    TARMAC_GATEWAY: lab.gateway,
    TARMAC_TOKEN: lab.token,
    XDG_CACHE_HOME: join(lab.dir, 'client-cache'),
  }
  const child: ChildProcess = spawn(process.execPath, [main, ...words], { cwd: folder, env })
  const closed = once(child, 'close')
  const output = Promise.all([text(child.stdout!), text(child.stderr!)])
  return {
    child,
    async end() {
      const [[stdout, stderr], [code]] = await Promise.all([output, closed])
      return { code: code as number, stdout, stderr }
    },
  }
}
const deployed = async (app: string, files: Files, ...more: string[]) =>
  (await tarmac(app, files, ...more)).end()

test('a deploy that becomes live exits 0 with only the URL on stdout', async () => {
  const { code, stdout, stderr } = await deployed(
    'client',
    pageApp('by the client'),
    '--env',
    'A=b',
  )
  expect([code, stdout]).toEqual([0, `${lab.apps.replace('localhost', 'client.localhost')}/\n`])
  expect(stderr).toMatch(/^sent 2 files[^]*=> building[^]*=> verifying[^]*live: client, deployment/)
  expect(await lab.page('client')).toBe('by the client')
})

test('a failed build exits 11, a source without a plan 10, a failed deploy 13: nothing on stdout', async () => {
  const build = await deployed('broken', pageApp('x', 'RUN echo the reason; exit 9'))
  expect(build).toMatchObject({
    code: 11,
    stdout: '',
    stderr: expect.stringContaining('the reason'),
  })
  expect(await deployed('nothing', { 'notes.txt': '' })).toMatchObject({ code: 10, stdout: '' })

  const deploy = await deployed('crashing', {
    Dockerfile: 'FROM alpine\nCMD ["sh", "-c", "exit 4"]',
  })
  expect(deploy).toMatchObject({ code: 13, stdout: '' })
})

test('--no-deploy ends built, --detach as soon as the source is accepted', async () => {
  const built = await deployed('built', pageApp('built'), '--no-deploy', '--json')
  const result = JSON.parse(built.stdout.trim().split('\n').at(-1)!) as object
  expect(result).toMatchObject({
    type: 'result',
    exitCode: 0,
    state: 'built',
    image: expect.stringContaining('/built@sha256:'),
  })

  const { code, stdout } = await deployed('built', pageApp('detached'), '--no-deploy', '--detach')
  expect([code, stdout.trim()]).toEqual([
    0,
    expect.stringContaining(`${lab.gateway}/v1/deployments/`),
  ])
  expect((await lab.end(stdout.trim().split('/').at(-1)!)).record.state).toBe('built')
})

test('rollback restores the previous release, and follows it', async () => {
  for (const page of ['the first', 'the second']) await deployed('back', pageApp(page))
  expect(await command(lab.dir, 'rollback', 'back').end()).toMatchObject({ code: 0 })
  expect(await lab.page('back')).toBe('the first')
  const none = await command(lab.dir, 'rollback', 'back', '--release', '9').end()
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('no release 9') })
})

test('a retry deploys the kept source, names what it retries, and says how to undo it', async () => {
  const first = await deployed('again', pageApp('kept'))
  const [, id = ''] = /deployment (\S+) of again/.exec(first.stderr) ?? []
  expect(await deployed('again', pageApp('newer'))).toMatchObject({ code: 0 })

  const retried = await command(lab.dir, 'retry', id).end()
  expect(retried.code, retried.stderr).toBe(0)
  expect(retried.stderr).toContain(
    `=> pending by operator: a retry of deployment ${id}, with its kept source`,
  )
  expect(retried.stderr).toMatch(
    /\nrelease 3 of again; to undo it: tarmac rollback again\nlive: again, deployment \S+\n/,
  )
  expect(await lab.page('again')).toBe('kept')

  const back = await command(lab.dir, 'rollback', 'again').end()
  expect(back.stderr).toContain('=> pending by operator: a rollback from release 3 to release 2')
  expect(await lab.page('again')).toBe('newer')
})

test('a failed build ends with its last words, its command once, who can fix it, and the next step', async () => {
  const { code, stderr } = await deployed('words', pageApp('x', 'RUN echo the reason; exit 9'))
  expect(code).toBe(11)
  const last = stderr.trimEnd().split('\n').slice(-10).join('\n')
  expect(last).toMatch(/ {3}\| the reason\nbuild_failed: words, deployment/)
  expect(last).toMatch(/RUN” failed: it ended with exit code 9\.\nThe sender can fix it/)
  expect(last).toMatch(/\nNext: correct it, and deploy again\. The whole log: tarmac follow \S+$/)
  expect(stderr.split('echo the reason').length - 1).toBe(1)
})

test('a client whose gateway is killed and restarted prints every line once and the verdict', async () => {
  const run = await tarmac(
    'restarted',
    pageApp('through it all', 'RUN echo before; sleep 4; echo after'),
  )
  let seen = ''
  run.child.stderr!.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  await expect.poll(() => seen, { timeout: 30_000 }).toMatch(/\| before/)

  lab.kill('gateway')
  await lab.start('gateway')
  const { code, stdout, stderr } = await run.end()
  expect([code, stdout]).toEqual([0, expect.stringContaining('http://restarted.localhost')])
  expect(stderr.match(/=> \w+/g)).toEqual(
    [
      'pending',
      'fetching',
      'analyzing',
      'building',
      'pending',
      'fetching',
      'analyzing',
      'building',
      'pushing',
      'deploying',
      'verifying',
      'live',
    ].map((state) => `=> ${state}`),
  )
  expect(stderr).toContain('The gateway stopped while this ran')
})

test('doctor examines the gateway, deploys and removes a tiny app, and then makes two machines at once', async () => {
  expect((await deployed('pushed', pageApp('x'))).code).toBe(0)
  const before = await lab.holdings()
  const words = ['doctor', '--json', '--wake', '--push', '--machines', '2', '--app', 'pushed']
  const { code, stdout } = await command('.', ...words).end()
  const { findings, live } = JSON.parse(stdout.trim().split('\n').at(-1)!) as {
    findings: { group: string; name: string; answer: string; detail: string }[]
    live: { phases: Record<string, number>; load: { failed: number; machines: number } }
  }
  expect(findings.filter(({ answer }) => answer === 'failed')).toEqual([])
  expect([code, stdout]).toEqual([0, expect.stringContaining('live test: making 2 machines')])

  const answers = Object.fromEntries(findings.map(({ name, answer }) => [name, answer]))
  expect(answers).toMatchObject({
    gateway: 'ok',
    login: 'ok',
    clock: 'ok',
    'isolation of build steps': 'ok',
    deploy: 'ok',
    request: 'ok',
    load: 'ok',
    removal: 'ok',
  })
  expect(live.load).toMatchObject({ failed: 0, machines: 2 })
  for (const phase of ['upload', 'building', 'deploying', 'verifying', 'removal'])
    expect(live.phases).toHaveProperty(phase)
  const { apps, containers } = before
  await expect.poll(() => lab.holdings(), { timeout: 15_000 }).toMatchObject({ apps, containers })
})

test('builder status shows what the gateway did and what it took of the machine', async () => {
  await deployed('counted', pageApp('x'), '--no-deploy')
  const { code, stdout } = await command('.', 'builder', 'status').end()
  expect([code, stdout]).toEqual([0, expect.stringContaining(`The gateway at ${lab.gateway} was`)])
  // Of the five that took most.
  expect(stdout).toMatch(/^ +\w+: \d+ s this month$/m)
  const json = await command('.', 'builder', 'status', '--json').end()
  expect(json.stdout).toMatch(/"app":"counted"/)
})
