import { spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import type { SourceTree } from '../../../gateway/src/deployments/source-tree.ts'
import { planSource } from '../../../gateway/src/railpack/plan-source.ts'
import type { PlanRequest } from '../../../gateway/src/railpack/plan-source.ts'

const plan = { steps: [], deploy: { base: { image: 'base' }, startCommand: 'node server.js' } }
const info = {
  success: true,
  detectedProviders: ['node'],
  resolvedPackages: { node: { name: 'node', resolvedVersion: '22.23.3' } },
  logs: [{ Level: 'info', Msg: 'Detected Node', DocsPath: '' }],
}
const failure = (words: string) => ({ success: false, logs: [{ Level: 'error', Msg: words, DocsPath: '' }] })
const mayMount = spawnSync('unshare', ['--mount', 'true']).status === 0
const never = new AbortController().signal

let folder: string
let tree: SourceTree
let events: NewEvent[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plan-source-'))
  await chmod(folder, 0o755)
  for (const name of ['tree', 'work', 'open']) await mkdir(join(folder, name))
  await chmod(join(folder, 'open'), 0o777)
  tree = await treeOf({ 'package.json': '{}' })
  events = []
})
afterEach(() => rm(folder, { recursive: true }))

describe('a plan', () => {
  test('is what the planner wrote, with its words in the log and its facts in the record', async () => {
    const planned = await ask(`${answers(plan, info)}; exit 0`)
    expect(planned).toEqual({
      way: 'railpack',
      planText: JSON.stringify(plan),
      facts: {
        way: 'railpack',
        reason: 'no Dockerfile at the root',
        planner: 'railpack 9.9.9-test',
        provider: 'node',
        versions: { node: '22.23.3' },
        startCommand: 'node server.js',
      },
    })
    expect(events).toEqual([{ type: 'note', text: 'railpack info: Detected Node' }])
    expect(await readdir(join(folder, 'work'))).toEqual([])
  })

  test('is asked for again while the planner lacks something for the time being', async () => {
    const counted = `echo . >> ${folder}/open/tries; tries=$(wc -l < ${folder}/open/tries)`
    await ask(`${counted}; [ $tries -gt 2 ] || { echo "no mise" >&2; exit 75; }; ${answers(plan, info)}`)
    expect(events.map((event) => event.type === 'note' && event.text)).toEqual([
      'The planner lacks something: no mise Trying again in 0.01 s.',
      'The planner lacks something: no mise Trying again in 0.02 s.',
      'railpack info: Detected Node',
    ])
  })

  test.each([
    ['lacks something for the time being', 'exit 75', 'plan-interrupted', '', 4],
    ['is killed', 'kill -9 $$', 'plan-interrupted', 'ended by SIGKILL', 4],
    ['looks up in vain', refuses('failed to get latest version for package `node`'), 'plan-interrupted', 'look up', 4],
    ['finds no such version', refuses('failed to resolve version 99 of node'), 'plan-failed', 'version 99', 4],
    ['refuses', refuses('No start command detected.'), 'plan-failed', 'No start command detected.', 1],
    ['knows nothing of it', refuses('could not determine how to build the app'), 'plan-none', 'is package.json.', 1],
    ['talks without end', 'while :; do echo 0123456789; done', 'plan-limit', 'wrote more than', 1],
    ['hangs', 'sleep 60', 'plan-limit', 'took longer than 1 s', 1],
    ['cannot start', 'echo broken >&2; exit 1', 'planner-missing', 'broken', 1],
    ['writes a plan that is too big', 'head -c 9000 /dev/zero > "$plan"; exit 0', 'plan-limit', '9000 bytes', 1],
    ['writes nonsense', 'echo nonsense > "$plan"; exit 0', 'plan-invalid', 'not JSON', 1],
    ['points at a file of ours', 'ln -s /etc/passwd "$plan"; exit 0', undefined, 'ELOOP', 1],
  ])('of a planner that %s is refused', async (_, script, code, words, tries) => {
    const asked = ask(`echo . >> ${folder}/open/tries; ${script}`)
    await expect(asked).rejects.toThrow(expect.objectContaining({ message: expect.stringContaining(words) }))
    await expect(asked).rejects.toThrow(code === undefined ? Error : expect.objectContaining({ code }))
    expect((await readFile(join(folder, 'open/tries'), 'utf8')).trim().split('\n')).toHaveLength(tries)
    expect(await readdir(join(folder, 'work'))).toEqual([])
  })

  test('is not waited for any longer when the deployment is cancelled', async () => {
    const control = new AbortController()
    setTimeout(() => control.abort(new Error('the user cancelled')), 200)
    await expect(ask('sleep 60', {}, control.signal)).rejects.toThrow('the user cancelled')
    const waiting = { limits: { retryWaitsMs: [60_000] } }
    const later = new AbortController()
    setTimeout(() => later.abort(new Error('the user cancelled')), 200)
    await expect(ask('exit 75', waiting, later.signal)).rejects.toThrow('the user cancelled')
    expect(await readdir(join(folder, 'work'))).toEqual([])
  })

  test('needs a program that is there', async () => {
    const gone = { planner: { path: '/nowhere/railpack', version: '0' } }
    await expect(ask('', gone)).rejects.toThrow(expect.objectContaining({ code: 'planner-missing' }))
  })

  test('made elsewhere is read from the source, and no planner runs', async () => {
    const text = JSON.stringify({ ...plan, deploy: { ...plan.deploy, variables: { RAILPACK_VERSION: '0.37.0' } } })
    tree = await treeOf({ 'out/plan.json': text })
    const planned = await ask('exit 1', { options: { ...options, plan: 'out/plan.json' } })
    expect(planned).toMatchObject({
      planText: text,
      facts: { planner: 'railpack 0.37.0, run by the sender', startCommand: 'node server.js' },
    })
    tree = await treeOf({ 'out/plan.json': '{}' })
    await expect(ask('exit 1', { options: { ...options, plan: 'out/plan.json' } })).rejects.toThrow('has no "deploy"')
  })

  test('is not needed where there is a Dockerfile', async () => {
    tree = await treeOf({ Dockerfile: 'FROM scratch' })
    const planned = await ask('exit 1')
    expect(planned).toMatchObject({ way: 'dockerfile', dockerfile: 'Dockerfile', facts: { planner: 'none' } })
  })
})

describe('the planner', () => {
  const build = {
    LD_PRELOAD: '/evil.so',
    PATH: '/evil',
    TOKEN: 'hush',
    RAILPACK_BUILD_CMD: 'make it',
    CGO_ENABLED: '0',
  }

  test('gets the names of the build variables, and the values of those alone that it decides by', async () => {
    await ask(`${spy()}; ${answers(plan, info)}`, { options: { ...options, build } })
    const [args = '', ...env] = (await seen()).split('\n')
    expect(args.slice(args.indexOf('--env'))).toBe(
      '--env LD_PRELOAD=1 --env PATH=1 --env TOKEN=1 --env RAILPACK_BUILD_CMD --env CGO_ENABLED',
    )
    expect(env).toEqual(expect.arrayContaining(['RAILPACK_BUILD_CMD=make it', 'CGO_ENABLED=0']))
    expect(env.join('\n')).not.toMatch(/evil|hush/)
  })

  test('must name a start command when the image is to be deployed', async () => {
    await ask(`${spy()}; ${answers(plan, info)}`)
    expect(await seen()).toContain('--error-missing-start')
    await ask(`${spy()}; ${answers(plan, info)}`, { options: { ...options, deploy: false } })
    expect(await seen()).not.toContain('--error-missing-start')
  })

  test.each([{ 'bad name': '' }, { RAILPACK_CONFIG_FILE: '../other.json' }])('is not asked with %j', async (build) => {
    const asked = ask('exit 0', { options: { ...options, build } })
    await expect(asked).rejects.toThrow(expect.objectContaining({ code: 'option-invalid' }))
  })

  test.runIf(process.getuid?.() === 0 && mayMount)(
    'is nobody, also where nobody could not reach the source by itself',
    async () => {
      const reads = `cat "$2/package.json" && ! touch "$2/new" 2>&1`
      await ask(`${spy()}; ${reads} || exit 3; ${answers(plan, info)}`)
      expect(await seen()).toMatch(/\n65534\n$/)
      await mkdir(join(folder, 'closed'), { mode: 0o700 })
      for (const name of ['tree', 'work']) await mkdir(join(folder, 'closed', name))
      await chmod(join(folder, 'closed'), 0o700)
      const workDir = join(folder, 'closed/work')
      tree = await treeOf({ 'package.json': '{}' }, join(folder, 'closed/tree'))
      await ask(`${spy()}; ${reads} || exit 3; ${answers(plan, info)}`, { workDir })
      expect(await seen()).toMatch(/\n65534\n$/)
    },
  )
})

/** Has the planner write down what it was given. */
const spy = () => `{ echo "$@"; env; id -u; } > ${folder}/open/seen`
const seen = () => readFile(join(folder, 'open/seen'), 'utf8')
const options = { plan: null, dockerfile: null, build: {}, deploy: true }

/** Plans with a planner that is this script; `$plan` and `$info` are where it must write. */
async function ask(script: string, more: Partial<PlanRequest> = {}, signal = never) {
  const path = join(folder, 'railpack')
  const outputs = 'for word; do case $last in --plan-out) plan=$word;; --info-out) info=$word;; esac; last=$word; done'
  await writeFile(path, `#!/bin/sh\n${outputs}\n${script}\n`)
  await chmod(path, 0o755)
  const { limits, ...rest } = more
  return planSource(
    {
      planner: { path, version: '9.9.9-test' },
      tree,
      options,
      workDir: join(folder, 'work'),
      tell: (event) => events.push(event),
      limits: { timeoutMs: 1_000, maxOutputBytes: 5_000, maxPlanBytes: 8_000, retryWaitsMs: [10, 20, 30], ...limits },
      ...rest,
    },
    signal,
  )
}

function answers(plan: unknown, info: unknown): string {
  return `echo '${JSON.stringify(info)}' > "$info"; printf %s '${JSON.stringify(plan)}' > "$plan"`
}

function refuses(words: string): string {
  return `echo '${JSON.stringify(failure(words))}' > "$info"; exit 1`
}

async function treeOf(files: Record<string, string>, root = join(folder, 'tree')): Promise<SourceTree> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
  const entries = Object.keys(files).map((path) => ({
    type: 'file' as const,
    path,
    mode: 0o644 as const,
    sizeBytes: 0,
    sha256: '',
  }))
  return { root, digest: '', files: entries.length, sizeBytes: 0, entries }
}
