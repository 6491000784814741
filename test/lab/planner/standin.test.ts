import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const repository = join(import.meta.dirname, '../../..')
const standIn = join(repository, 'lab/planner/railpack-standin')
const recorded = ['/work/shared', join(repository, '../shared')]
  .map((folder) => join(folder, 'conformance/railpack'))
  .find(existsSync)

type Log = { Level: string; Msg: string; DocsPath: string }
type Layer = {
  step?: string
  image?: string
  local?: boolean
  include?: string[]
  exclude?: string[]
}
type Step = {
  name: string
  inputs: Layer[]
  commands?: Record<string, string>[]
  assets?: Record<string, string>
}
type Plan = {
  steps: Step[]
  secrets?: string[]
  exclude?: string[]
  deploy: { inputs: Layer[]; startCommand?: string; variables: Record<string, string> }
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'standin-'))
})
afterEach(() => rm(folder, { recursive: true }))

/**
 * Runs the stand-in as the gateway does: no environment, outputs in a folder that does not exist
 * yet.
 */
async function prepare(app: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const out = join(folder, 'out')
  const outputs = ['--plan-out', join(out, 'plan.json'), '--info-out', join(out, 'info.json')]
  const exitCode = await new Promise<number>((resolve) => {
    const words = ['prepare', app, '--hide-pretty-plan', ...outputs, ...args]
    execFile(standIn, words, { cwd: '/', env }, (error) => resolve(error ? Number(error.code) : 0))
  })
  const read = (name: string) =>
    existsSync(join(out, name)) ? readFile(join(out, name), 'utf8') : 'null'
  const info = JSON.parse(await read('info.json')) as {
    success: boolean
    logs: Log[]
    detectedProviders?: string[]
    resolvedPackages?: Record<string, { resolvedVersion: string }>
  } | null
  return { exitCode, info, plan: JSON.parse(await read('plan.json')) as Plan, out }
}

/** Makes an app of these files. */
async function appOf(files: Record<string, string>): Promise<string> {
  const app = join(folder, 'app')
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(app, path)), { recursive: true })
    await writeFile(join(app, path), text)
  }
  return app
}

describe('the stand-in planner', { timeout: 20_000 }, () => {
  test('names itself', async () => {
    expect(spawnSync(standIn, ['--version'], { env: {} }).stdout.toString()).toBe(
      'railpack version 0.37.0-standin\n',
    )
    const { plan, info } = await prepare(await appOf({ 'start.sh': 'echo hi' }))
    expect(plan.deploy.variables['RAILPACK_VERSION']).toBe('0.37.0-standin')
    expect(info?.logs[0]).toMatchObject({
      Level: 'warn',
      Msg: expect.stringContaining('stand-in') as string,
    })
  })

  test.each([
    ['hello-node', 'node server.js', 'node', { node: '22.23.3' }],
    ['hello-python', 'python main.py', 'python', { python: '3.13.5' }],
    ['hello-go', './out', 'golang', { go: '1.25.14' }],
    ['hello-static', 'caddy run --config Caddyfile --adapter caddyfile 2>&1', 'staticfile', {}],
  ])('plans the example %s', async (name, startCommand, provider, versions) => {
    const { exitCode, plan, info } = await prepare(join(repository, 'examples', name), [
      '--error-missing-start',
    ])
    expect(exitCode).toBe(0)
    expect(plan.deploy.startCommand).toBe(startCommand)
    expect(info).toMatchObject({ success: true, detectedProviders: [provider] })

    const resolved = Object.values(info?.resolvedPackages ?? {}).map(
      ({ resolvedVersion }) => resolvedVersion,
    )
    expect(resolved).toEqual(Object.values(versions))
  })

  test.runIf(recorded).each<[string, Record<string, string>, string[]]>([
    [
      'node-npm',
      {
        'package.json': '{"scripts":{"start":"node index.js"},"engines":{"node":"23.5.0"}}',
        'package-lock.json': '{}',
        'railpack.json': `{ // as in railpack's own example
          "steps": { "install": { "deployOutputs": [], "commands": [
            { "path": "/app/node_modules/.bin" }, { "src": "package-lock.json", "dest": "package-lock.json" },
            { "src": "package.json", "dest": "package.json" }, "npm ci", ] } } }`,
      },
      ['--env', 'RAILPACK_PRUNE_DEPS=true'],
    ],
    [
      'node-next',
      {
        'package.json':
          '{"scripts":{"start":"next start","build":"next build"},"dependencies":{"next":"15"}}',
        'package-lock.json': '{}',
      },
      [],
    ],
    ['python-pip', { 'app.py': '', 'requirements.txt': 'numpy', '.python-version': '3.13' }, []],
    [
      'go-mod',
      { 'go.mod': 'module a\n\ngo 1.23\n', 'go.sum': '', 'main.go': '', 'mise.toml': '' },
      [],
    ],
    [
      'go-workspaces',
      {
        'go.work': '',
        'api/go.mod': '',
        'api/main.go': '',
        'shared/go.mod': '',
        'shared/shared.go': '',
      },
      [],
    ],
    ['shell-script', { 'start.sh': 'echo hi' }, []],
    ['shell-platform-arch', { 'start.sh': '#!/usr/bin/env zsh\necho hi' }, []],
  ])('plans %s as railpack does, except for versions', async (name, files, args) => {
    const { plan } = await prepare(await appOf(files), args)
    const { plan: wanted } = JSON.parse(
      readFileSync(join(recorded ?? '', `${name}.json`), 'utf8'),
    ) as { plan: Plan }
    expect(withoutVersions(plan)).toEqual(withoutVersions(wanted))
  })

  test.each<[string, Record<string, string>, string[], string]>([
    ['of a module', { 'go.mod': '', 'main.go': '', 'cmd/a/main.go': '' }, [], ''],
    ['in cmd/, the first', { 'go.mod': '', 'cmd/b/main.go': '', 'cmd/a/x.go': '' }, [], ' ./cmd/a'],
    ['of a module without files at its root', { 'go.mod': '', 'inner/a.go': '' }, [], ''],
    ['that is one file', { 'main.go': '' }, [], ' main.go'],
    ['that GO_BIN names', { 'go.mod': '' }, ['--env', 'RAILPACK_GO_BIN=b'], ' ./cmd/b'],
    [
      'that GO_WORKSPACE_MODULE names',
      { 'go.work': '' },
      ['--env', 'RAILPACK_GO_WORKSPACE_MODULE=b'],
      ' ./b',
    ],
  ])('builds the Go program %s', async (_, files, args, what) => {
    const { plan } = await prepare(await appOf(files), args)
    expect(plan.steps.find(({ name }) => name === 'build')?.commands).toEqual([
      { cmd: `go build -ldflags="-w -s" -o out${what}` },
    ])
  })

  test('downloads Go modules with the lists of modules alone, and nothing for a lone main.go', async () => {
    const install = async (files: Record<string, string>) =>
      (await prepare(await appOf(files))).plan.steps.find(({ name }) => name === 'install')
    expect(await install({ 'main.go': '' })).toEqual({
      name: 'install',
      inputs: [{ step: 'packages:mise' }],
      commands: [{ path: '/go/bin' }],
      secrets: ['*'],
      variables: { GOBIN: '/go/bin', GOPATH: '/go' },
    })
    const module = await install({ 'main.go': '', 'go.mod': 'module a' })
    expect(module?.commands).toEqual([
      { path: '/go/bin' },
      { src: 'go.mod', dest: 'go.mod' },
      { cmd: 'go mod download' },
    ])
    expect(module).toMatchObject({ caches: ['go-build'], variables: { CGO_ENABLED: '0' } })
  })

  test('has a C compiler for a Go app that asks for CGO', async () => {
    const { plan } = await prepare(await appOf({ 'go.mod': '' }), ['--env', 'CGO_ENABLED=1'])
    const apt = plan.steps.filter(({ name }) => name.startsWith('packages:apt'))
    expect(apt.map(({ commands }) => commands?.[0]?.['customName'])).toEqual([
      'install apt packages: g++ gcc libc6-dev',
      'install apt packages: libc6',
    ])
    expect(plan.steps.find(({ name }) => name === 'install')).not.toHaveProperty(
      'variables.CGO_ENABLED',
    )
  })

  test('asks for the Go version in .go-version, else in go.mod', async () => {
    const warning = async (files: Record<string, string>) =>
      (await prepare(await appOf({ ...files, 'main.go': '' }))).info?.logs
        .map(({ Msg }) => Msg)
        .find((words) => words.includes('asks for'))
    expect(await warning({ 'go.mod': 'module a\n\n\tgo 1.23.4\r\n' })).toBe(
      'go.mod asks for go 1.23.4; the stand-in builder image holds go 1.25.14, which is used.',
    )
    expect(await warning({ '.go-version': '1.24', 'go.mod': 'go 1.23' })).toContain(
      '.go-version asks for go 1.24;',
    )
    await rm(join(folder, 'app'), { recursive: true })
    expect(await warning({ 'go.mod': 'module a\n\ngo 1.25\n' })).toBeUndefined()
  })

  test('leaves out of the build what .dockerignore and railpack.json exclude', async () => {
    const app = await appOf({
      'start.sh': '',
      '.dockerignore': '# comment\n/secret/\n\n!./secret/kept\n**/*.log\n',
      'railpack.json': '{"exclude":["docs"]}',
    })
    expect((await prepare(app)).plan.exclude).toEqual([
      'secret',
      '!secret/kept',
      '**/*.log',
      'docs',
    ])
  })

  test('takes links that lead in a circle for files that are not there', async () => {
    const app = await appOf({ 'index.html': 'hi' })
    for (const [path, target] of Object.entries({ 'package.json': 'b', b: 'package.json' }))
      await symlink(target, join(app, path))
    expect((await prepare(app)).info).toMatchObject({ detectedProviders: ['staticfile'] })
  })

  test('takes the start command from railpack.json, else from the Procfile', async () => {
    const files = {
      'main.py': '',
      Procfile: 'worker: python worker.py\nweb: python web.py # the page\n',
    }
    expect((await prepare(await appOf(files))).plan.deploy.startCommand).toBe('python web.py')
    const app = await appOf({
      ...files,
      'railpack.json': '{"deploy":{"startCommand":"python configured.py"}}',
    })
    expect((await prepare(app, ['--start-cmd', 'python flag.py'])).plan.deploy.startCommand).toBe(
      'python configured.py',
    )
  })

  test('lists every variable by name, with the value in its own environment', async () => {
    const app = await appOf({ 'start.sh': '' })
    const args = [
      '--env',
      'RAILPACK_BUILD_CMD',
      '--env',
      'B=1',
      '--env',
      'EMPTY=',
      '--env',
      'UNSET',
    ]
    const { plan } = await prepare(app, args, { RAILPACK_BUILD_CMD: 'make it' })
    expect(plan.secrets).toEqual(['B', 'RAILPACK_BUILD_CMD'])
    const built = plan.steps.find(({ name }) => name === 'build')
    expect(built?.commands).toContainEqual({ cmd: `sh -c 'make it'`, customName: 'make it' })
  })

  test('uses the version in the builder image, says so, and leaves out files that ask for another', async () => {
    const app = await appOf({ 'package.json': '{"main":"a.js"}', '.nvmrc': 'v18.20.0' })
    const { plan, info } = await prepare(app)
    expect(plan.exclude).toEqual(['.nvmrc'])
    expect(info?.logs.map(({ Msg }) => Msg)).toContain(
      '.nvmrc asks for node v18.20.0; the stand-in builder image holds node 22.23.3, which is used.',
    )
  })

  test('serves the pages that a build leaves behind', async () => {
    const { plan } = await prepare(
      await appOf({
        'package.json': '{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}',
      }),
    )
    expect(plan.deploy.inputs).toContainEqual({ step: 'build', include: ['dist'] })
    const caddyfile = plan.steps.find(({ name }) => name === 'caddy')?.assets?.['Caddyfile']
    expect(caddyfile).toContain('root * /app/dist')
    expect(caddyfile).toContain('/index.html\n')
  })

  test.each<[string, Record<string, string>, string]>([
    ['an empty folder', { 'notes.txt': '' }, 'Railpack could not determine how to build the app.'],
    ['a kind of app that it does not know', { 'Cargo.toml': '' }, 'This is a Rust app'],
    [
      'a package manager that it does not know',
      { 'package.json': '{}', 'yarn.lock': '' },
      'there is a yarn.lock',
    ],
    ['no start command', { 'package.json': '{}' }, 'No start command detected.'],
    [
      'a broken railpack.json',
      { 'start.sh': '', 'railpack.json': '{' },
      'error reading railpack.json as JSON',
    ],
  ])('refuses %s with a reason and no plan', async (_, files, words) => {
    const { exitCode, plan, info } = await prepare(await appOf(files), ['--error-missing-start'])
    expect(exitCode).toBe(1)
    expect(plan).toBeNull()
    expect(info?.success).toBe(false)
    expect(info?.logs.at(-1)).toMatchObject({
      Level: 'error',
      Msg: expect.stringContaining(words) as string,
    })
  })

  test('writes no file when it is used wrongly', async () => {
    const { exitCode, out } = await prepare(join(folder, 'nowhere'))
    expect(exitCode).toBe(1)
    expect(existsSync(out)).toBe(false)
    expect((await prepare(folder, ['--no-such-flag'])).exitCode).toBe(1)
  })
})

/** A plan without its version-dependent parts: tool versions, and railpack's own. */
function withoutVersions(plan: Plan): unknown {
  const text = JSON.stringify(plan, (key, value: unknown) =>
    ['$schema', 'generated-mise-toml', 'RAILPACK_VERSION'].includes(key) ? undefined : value,
  )
  return JSON.parse(text)
}
