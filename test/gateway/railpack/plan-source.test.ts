import { writeFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { sortEntries } from '../../../api/tree.ts'
import type { SourceTree } from '../../../gateway/src/deployments/source-tree.ts'
import { sandboxFlaw } from '../../../gateway/src/host/sandbox/sandbox.ts'
import { openPlanner } from '../../../gateway/src/railpack/open-planner.ts'
import { PlanCache } from '../../../gateway/src/railpack/plan-cache.ts'
import type { PlanRequest } from '../../../gateway/src/railpack/plan-request.ts'
import { planSource } from '../../../gateway/src/railpack/plan-source.ts'

const plan = { steps: [], deploy: { base: { image: 'base' }, startCommand: 'node server.js' } }
const info = {
  success: true,
  detectedProviders: ['node'],
  resolvedPackages: { node: { name: 'node', resolvedVersion: '22.23.3' } },
  logs: [{ Level: 'info', Msg: 'Detected Node', DocsPath: '' }],
}
const failure = (words: string) => ({
  success: false,
  logs: [{ Level: 'error', Msg: words, DocsPath: '' }],
})
const never = new AbortController().signal

let folder: string
let tree: SourceTree
let events: NewEvent[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plan-source-'))
  await mkdir(join(folder, 'tree'))
  tree = await treeOf({ 'package.json': '{}' })
  events = []
})
afterEach(() => rm(folder, { recursive: true }))

describe.skipIf(sandboxFlaw)('a plan', () => {
  test('is the planner’s output, with its log lines in the log and its facts in the record', async () => {
    const planned = await ask(`${answers(plan, info)}; exit 0`)
    expect(planned).toEqual({
      builder: 'railpack',
      planText: JSON.stringify(plan),
      facts: {
        builder: 'railpack',
        reason: 'no Dockerfile at the root',
        planner: 'railpack 9.9.9-test',
        provider: 'node',
        versions: { node: '22.23.3' },
        startCommand: 'node server.js',
      },
    })
    expect(events).toEqual([{ type: 'note', text: 'railpack info: Detected Node' }])
  })

  test('is made from the tree as the build will see it', async () => {
    const files = {
      '.dockerignore': 'docs\n!docs/keep\nrailpack.json\n.dockerignore',
      'railpack.json': '{\n  // what the build needs not\n  "exclude": ["test"],\n}',
      'docs/package.json': '{}',
      'docs/keep/a': '',
      'test/package.json': '{}',
    }
    tree = await treeOf({ ...files, 'package.json': '{}' })
    const list = 'find "$2" -type f | sed "s%$2/%%" | sort | tr "\\n" " "'
    await ask(`${answers(plan, { ...info, logs: [{ Level: 'info', Msg: 'SEEN' }] })}
      sed -i "s%SEEN%$(${list})%" "$info"`)
    expect(emitted().at(-1)).toBe(
      'railpack info: .dockerignore docs/keep/a package.json railpack.json ',
    )
    expect(await readdir(folder)).toEqual(['railpack', 'tree'])
  })

  test('is made from a package.json without its byte order mark', async () => {
    tree = await treeOf({ 'package.json': '\ufeff{}', 'b/package.json': '{}', a: '\ufeff' })
    await ask(`grep -q "^{}" "$2/package.json" || exit 3; [ $(wc -c < "$2/a") = 3 ] || exit 4
      ${answers(plan, info)}`)
    expect(events[0]).toEqual({
      type: 'warning',
      text: expect.stringMatching(/^package\.json: begins with a byte order mark/),
    })
  })

  test('that fails comes with the planner’s warnings, and begins with the cause', async () => {
    const logs = [
      { Level: 'info', Msg: 'Detected Node', DocsPath: '' },
      { Level: 'warn', Msg: 'error reading package.json: invalid character', DocsPath: '' },
      { Level: 'error', Msg: 'could not determine how to build the app', DocsPath: '' },
    ]
    const script = `echo '${JSON.stringify({ success: false, logs })}' > "$info"; exit 1`
    await expect(ask(script)).rejects.toThrow(/^error reading package\.json: invalid character\n/)
    expect(events).toEqual([
      { type: 'note', text: 'railpack info: Detected Node' },
      { type: 'warning', text: 'railpack warn: error reading package.json: invalid character' },
    ])
  })

  test('that finds nothing names what the planner saw, and that ignore rules hid the rest', async () => {
    tree = await treeOf({ '.dockerignore': 'package.json', 'package.json': '{}', 'a/b': '' })
    await expect(ask(refuses('could not determine how to build the app'))).rejects.toThrow(
      'There is .dockerignore, a. What .dockerignore or railpack.json excludes does not count.',
    )
  })

  test('comes with warnings about secrets in the source', async () => {
    tree = await treeOf({ 'package.json': '{}', '.env': 'A=b' })
    await ask(answers(plan, info))
    expect(events[0]).toMatchObject({ type: 'warning', text: expect.stringContaining('.env') })
  })

  test('is requested again while the planner temporarily lacks something', async () => {
    const emit = (event: NewEvent) => {
      events.push(event)
      writeFileSync(join(folder, 'tree/found'), '')
    }
    await ask(`[ -e "$2/found" ] || { echo "no mise" >&2; exit 75; }; ${answers(plan, info)}`, {
      emit,
    })
    expect(emitted()).toContain(
      'The planner could not download a program that it needs: no mise Trying again in 0.01 s.',
    )
    expect(emitted().at(-1)).toBe('railpack info: Detected Node')
  })

  test.each([
    ['lacks something for the time being', 'exit 75', 'plan-interrupted', '', 4],
    ['is killed', 'kill -9 $$', 'plan-interrupted', 'killed by SIGKILL', 4],
    [
      'looks up in vain',
      refuses('failed to get latest version for package `node`'),
      'plan-interrupted',
      'look up',
      4,
    ],
    [
      'asks GitHub for PHP in vain',
      refuses(
        `failed to run mise command "mise ls-remote php@8.4": exit status 1 mise ERROR error sending request for url (https://github.com/jdx/vfox-php)`,
      ),
      'plan-interrupted',
      'not the fault of the source',
      4,
    ],
    [
      'asks Docker Hub for PHP in vain',
      refuses('no version available for php 8.4'),
      'plan-interrupted',
      'Docker Hub',
      4,
    ],
    [
      'finds no image of an old PHP',
      refuses('no version available for php >=7.4'),
      'plan-failed',
      'none of PHP before 8.2',
      1,
    ],
    [
      'finds a version whose name looks like an outage',
      refuses('failed to resolve version failed to run mise command of node'),
      'plan-failed',
      'Set a version that exists',
      4,
    ],
    [
      'finds no such version',
      refuses('failed to resolve version 99 of node'),
      'plan-failed',
      'version 99',
      4,
    ],
    [
      'refuses',
      refuses('No start command detected.'),
      'plan-failed',
      'No start command detected.',
      1,
    ],
    [
      'knows nothing of it',
      refuses('could not determine how to build the app'),
      'no-builder-found',
      'is package.json.',
      1,
    ],
    ['talks without end', 'while :; do echo 0123456789; done', 'plan-limit', 'wrote more than', 1],
    ['hangs', 'sleep 60', 'plan-limit', 'took longer than 2 s', 1],
    ['cannot start', 'echo broken >&2; exit 1', 'planner-missing', 'broken', 1],
    [
      'writes a plan that is too big',
      'head -c 100000000 /dev/zero > "$plan"; exit 0',
      'plan-limit',
      'more than',
      1,
    ],
    [
      'needs too much memory',
      'exec head -c 200000000 /dev/zero | tail -c 200000000',
      'plan-limit',
      'of memory',
      1,
    ],
    ['writes nonsense', 'echo nonsense > "$plan"; exit 0', 'plan-invalid', 'not JSON', 1],
    [
      'points at a file of ours',
      'ln -s /etc/passwd "$plan"; exit 0',
      'plan-invalid',
      'not JSON',
      1,
    ],
  ])('of a planner that %s is refused', async (_, script, code, words, tries) => {
    const asked = ask(script)
    await expect(asked).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(words) }),
    )
    expect(emitted().filter((text) => text.includes('Trying again'))).toHaveLength(tries - 1)
  })

  test('is not requested again after a failed lookup where the planner has no network', async () => {
    const asked = ask(refuses('failed to get latest version for package `node`'), { network: null })
    await expect(asked).rejects.toThrow('TARMAC_PLAN_NETWORK=none')
    expect(emitted()).toEqual([])
  })

  test('is not awaited any longer when the deployment is cancelled', async () => {
    const control = new AbortController()
    setTimeout(() => control.abort(new Error('the user cancelled')), 200)
    await expect(ask('sleep 60', {}, control.signal)).rejects.toThrow('the user cancelled')
    const waiting = { limits: { retryWaitsMs: [60_000] } }
    const later = new AbortController()
    setTimeout(() => later.abort(new Error('the user cancelled')), 200)
    await expect(ask('exit 75', waiting, later.signal)).rejects.toThrow('the user cancelled')
  })

  test('needs an existing program', async () => {
    const missing = expect.objectContaining({ code: 'planner-missing' })
    await expect(ask('', { planner: { path: '/nowhere/railpack', version: '0' } })).rejects.toThrow(
      missing,
    )
    await expect(openPlanner('/nowhere/railpack', never)).rejects.toThrow(missing)
    await expect(openPlanner('/usr/bin/env', never)).rejects.toThrow(missing)
  })

  test('that the source holds is read from there, and no planner runs', async () => {
    const text = JSON.stringify({
      ...plan,
      deploy: { ...plan.deploy, variables: { RAILPACK_VERSION: '0.37.0' } },
    })
    tree = await treeOf({ 'out/plan.json': text })
    const planned = await ask('exit 1', { options: { ...options, plan: 'out/plan.json' } })
    expect(planned).toMatchObject({
      planText: text,
      facts: { planner: 'railpack 0.37.0, run by the sender', startCommand: 'node server.js' },
    })

    tree = await treeOf({ 'out/plan.json': '{}' })
    await expect(ask('exit 1', { options: { ...options, plan: 'out/plan.json' } })).rejects.toThrow(
      'has no "deploy"',
    )
  })

  const ownPlan = () => ({ options: { ...options, plan: 'plan.json' } })
  const withStart = (startCommand: unknown) =>
    JSON.stringify({ ...plan, deploy: { ...plan.deploy, startCommand } })
  test.each([
    ['is deep', `{"deploy": {"base": ${'['.repeat(3000)}`, 'plan-invalid', 'nested'],
    [
      'has too many values',
      `{"deploy": {}, "steps": [${'1,'.repeat(3_000_000)}`,
      'plan-invalid',
      'values',
    ],
    ['is null', 'null', 'plan-invalid', 'has no "deploy"'],
    ['is a list', '[]', 'plan-invalid', 'has no "deploy"'],
    ['has null for its deploy', '{"deploy": null}', 'plan-invalid', 'has no "deploy"'],
    ['is UTF-16', '\ufeff{}', 'plan-invalid', 'UTF-16'],
    [
      'has a start command that Linux cannot pass on',
      withStart('x'.repeat(200_000)),
      'plan-limit',
      '131072',
    ],
    ['has a number for its start command', withStart(1e300), 'plan-invalid', 'has no "deploy"'],
    ['is larger than 8 MiB', ' '.repeat(8 * 2 ** 20 + 1), 'source-file-too-large', '8388608'],
  ])('made elsewhere that %s is refused, and the file is named', async (_, text, code, words) => {
    const bytes = words === 'UTF-16' ? Buffer.from(text, 'utf16le') : text
    tree = await treeOf({ 'plan.json': '' })
    await writeFile(join(tree.root, 'plan.json'), bytes)
    const limits = { maxResultBytes: 8 * 2 ** 20 }
    const problem = await ask('exit 1', { ...ownPlan(), limits }).catch((error: unknown) => error)
    expect(problem).toMatchObject({ code, message: expect.stringContaining(words) })
    expect((problem as Error).message).toContain('plan.json')
  })

  test('that the source holds names its railpack version in a few letters', async () => {
    const variables = { RAILPACK_VERSION: '9'.repeat(1_000_000) }
    tree = await treeOf({
      'plan.json': JSON.stringify({ ...plan, deploy: { ...plan.deploy, variables } }),
    })
    const { facts } = await ask('exit 1', { ...ownPlan(), limits: { maxResultBytes: 8 * 2 ** 20 } })
    expect(facts.planner.length).toBeLessThan(300)
  })

  test('has few and short facts, whatever the planner writes', async () => {
    const tools = Array.from({ length: 500 }, (_, n) => [`tool${n}`, { resolvedVersion: '1' }])
    const many = { ...info, resolvedPackages: Object.fromEntries(tools) as object }
    const limits = { maxResultBytes: 2 ** 20 }
    const planned = await ask(`${answers(plan, many)}; exit 0`, { limits })
    expect(Object.keys(planned.facts.versions)).toHaveLength(100)

    const odd = {
      logs: [{ Level: 1 }],
      detectedProviders: { a: 1 },
      resolvedPackages: { node: null, b: { resolvedVersion: 3 } },
    }
    tree = await treeOf({ 'package.json': '{"odd":1}' })
    const other = await ask(`${answers(plan, odd)}; exit 0`)
    expect(other.facts).toMatchObject({ provider: null, versions: { node: '', b: '' } })
    expect(
      (await ask(`${answers(plan, { resolvedPackages: [[]], logs: 3 })}; exit 0`)).facts.versions,
    ).toEqual({})
  })

  test('is not needed with a Dockerfile', async () => {
    tree = await treeOf({ Dockerfile: 'FROM scratch' })
    const planned = await ask('exit 1')
    expect(planned).toMatchObject({
      builder: 'dockerfile',
      dockerfile: 'Dockerfile',
      facts: { planner: 'none' },
    })
  })
})

describe.skipIf(sandboxFlaw)('the planner', () => {
  const build = {
    LD_PRELOAD: '/evil.so',
    PATH: '/evil',
    TOKEN: 'hush',
    RAILPACK_BUILD_CMD: 'make it',
    CGO_ENABLED: '0',
  }

  test('gets the names of the build variables, and only the values that it decides by', async () => {
    const [args = '', ...env] = await spy({ options: { ...options, build } })
    expect(args.slice(args.indexOf('--env'))).toBe(
      '--env LD_PRELOAD=1 --env PATH=1 --env TOKEN=1 --env RAILPACK_BUILD_CMD --env CGO_ENABLED',
    )
    expect(env).toEqual(
      expect.arrayContaining(['RAILPACK_BUILD_CMD=make it', 'CGO_ENABLED=0', '65534']),
    )
    expect(env.join('\n')).not.toMatch(/evil|hush/)
  })

  test('gets only the names of secrets, each once, when they are valid variable names', async () => {
    const secretNames = ['REDIS_URL', 'CGO_ENABLED', 'npm.rc']
    const [args = ''] = await spy({
      options: { ...options, build: { CGO_ENABLED: '0', A: 'b' } },
      secretNames,
    })
    expect(args.slice(args.indexOf('--env'))).toBe(
      '--env A=1 --env REDIS_URL=1 --env CGO_ENABLED=1',
    )
  })

  test('finds the source in a folder named after the app', async () => {
    expect((await spy())[0]).toMatch(/^prepare \/source\/my-app /)
  })

  test('must name a start command when the image is to be deployed', async () => {
    expect((await spy())[0]).toContain('--error-missing-start')
    expect((await spy({ options: { ...options, deploy: false } }))[0]).not.toContain(
      '--error-missing-start',
    )
  })

  test('does not run with an invalid variable name', async () => {
    const asked = ask('exit 0', { options: { ...options, build: { 'bad name': '' } } })
    await expect(asked).rejects.toThrow(expect.objectContaining({ code: 'option-invalid' }))
  })

  test('reads a source in a folder that others cannot enter', async () => {
    await mkdir(join(folder, 'closed'), { mode: 0o700 })
    tree = await treeOf({ 'package.json': '{}' }, join(folder, 'closed/tree'))
    await ask(`cat "$2/package.json" && ! touch "$2/new" || exit 3; ${answers(plan, info)}`)
  })
})

describe.skipIf(sandboxFlaw)('a cached plan', () => {
  const build = { TOKEN: 'hush' }
  let cache: PlanCache
  beforeEach(() => (cache = new PlanCache(join(folder, 'plans'), Buffer.alloc(32))))
  const plans = async (more: Partial<PlanRequest> = {}) => {
    await ask(answers(plan, info), { cache, options: { ...options, build }, ...more })
    const ran = !emitted().some((text) => text.includes('The planner did not run'))
    events = []
    return ran
  }

  test('is used again, with its log lines, for the same source, options and planner', async () => {
    const first = await ask(answers(plan, info), { cache, options: { ...options, build } })
    events = []
    expect(await ask('exit 1', { cache, options: { ...options, build } })).toEqual(first)
    expect(emitted()).toEqual([
      expect.stringContaining('The planner did not run'),
      'railpack info: Detected Node',
    ])
  })

  test('is not used when anything differs, or for a rebuild', async () => {
    expect(await plans()).toBe(true)
    expect(await plans()).toBe(false)
    expect(await plans({ app: 'other-app' })).toBe(true)
    expect(await plans({ tree: { ...tree, digest: 'sha256:other' } })).toBe(true)
    expect(await plans({ planner: { ...planner(), version: '9.9.10' } })).toBe(true)
    expect(await plans({ options: { ...options, build: { TOKEN: 'other' } } })).toBe(true)
    expect(await plans({ options: { ...options, build, deploy: false } })).toBe(true)
    expect(await plans({ secretNames: ['B', 'A'] })).toBe(true)
    expect(await plans({ secretNames: ['A', 'B'] })).toBe(false)
    expect(await plans({ options: { ...options, build, rebuild: true } })).toBe(true)
    expect(await plans({ cache: new PlanCache(join(folder, 'plans'), Buffer.alloc(32, 1)) })).toBe(
      true,
    )
  })

  test('is evicted when it is the least recently used of too many; any file may be deleted or damaged', async () => {
    cache = new PlanCache(join(folder, 'plans'), Buffer.alloc(32), { plans: 2, sizeBytes: 10_000 })
    for (const app of ['a', 'b', 'a', 'c']) await plans({ app }).then(() => sleep(20))
    expect([
      await plans({ app: 'a' }),
      await plans({ app: 'c' }),
      await plans({ app: 'b' }),
    ]).toEqual([false, false, true])

    for (const damaged of ['{"info":', '{"info":{},"planText":"{}"}', 'null']) {
      for (const file of await readdir(join(folder, 'plans')))
        await writeFile(join(folder, 'plans', file), damaged)
      expect(await plans({ app: 'b' })).toBe(true)
    }
    await rm(join(folder, 'plans'), { recursive: true })
    expect(await plans({ app: 'b' })).toBe(true)
  })

  test('that was refused is requested again', async () => {
    await expect(ask(refuses('No start command detected.'), { cache })).rejects.toThrow()
    expect(await plans({ options })).toBe(true)
  })
})

/** The planner's arguments, environment and user, as the planner itself reports them. */
async function spy(more: Partial<PlanRequest> = {}): Promise<string[]> {
  const lines = '{ echo "$@"; env; id -u; } | tr "\\n" "|"'
  await ask(
    `${answers(plan, { ...info, logs: [{ Level: 'info', Msg: 'SEEN' }] })}; sed -i "s%SEEN%$(${lines})%" "$info"`,
    more,
  )
  return emitted().at(-1)!.replace('railpack info: ', '').split('|')
}
const emitted = () => events.flatMap((event) => (event.type === 'note' ? [event.text] : []))
const options = { plan: null, dockerfile: null, build: {}, deploy: true, rebuild: false }

const planner = () => ({ path: join(folder, 'railpack'), version: '9.9.9-test' })

/** Plans with this script as the planner. It must write to `$plan` and `$info`. */
async function ask(script: string, more: Partial<PlanRequest> = {}, signal = never) {
  const outputs =
    'for word; do case $last in --plan-out) plan=$word;; --info-out) info=$word;; esac; last=$word; done'
  await writeFile(planner().path, `#!/bin/sh\n${outputs}\n${script}\n`)
  await chmod(planner().path, 0o755)
  const { limits, ...rest } = more
  const small = {
    maxOutputBytes: 5_000,
    maxResultBytes: 8_000,
    memoryBytes: 128 * 2 ** 20,
    tmpBytes: 2 ** 28,
  }
  return planSource(
    {
      planner: planner(),
      app: 'my-app',
      tree,
      options,
      network: { namespace: '/proc/self/ns/net', readOnlyMounts: {} },
      emit: (event) => events.push(event),
      limits: { timeoutMs: 2_000, ...small, retryWaitsMs: [10, 20, 30], ...limits },
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

async function treeOf(
  files: Record<string, string>,
  root = join(folder, 'tree'),
): Promise<SourceTree> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
  const folders = new Set(
    Object.keys(files).flatMap((path) =>
      path.split('/').flatMap((_, at, names) => (at > 0 ? [names.slice(0, at).join('/')] : [])),
    ),
  )
  const entries = [
    ...[...folders].map((path) => ({ type: 'folder' as const, path })),
    ...Object.keys(files).map((path) => ({
      type: 'file' as const,
      path,
      mode: 0o644 as const,
      sizeBytes: 0,
      sha256: '',
    })),
  ]
  return { root, digest: '', files: entries.length, sizeBytes: 0, entries: sortEntries(entries) }
}
