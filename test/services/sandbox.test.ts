import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  runInSandbox,
  sandboxKind,
  type SandboxLimits,
} from '../../gateway/src/host/sandbox/sandbox.ts'
import { openLookupNetwork } from '../../gateway/src/isolation/planner-network.ts'
import { openPlanner } from '../../gateway/src/railpack/open-planner.ts'
import { planLimits } from '../../gateway/src/railpack/plan-request.ts'
import { planSource } from '../../gateway/src/railpack/plan-source.ts'
import { findPlanner } from '../../lab/planner/find.ts'
import { portOf } from '../../gateway/src/host/port-of.ts'

const never = new AbortController().signal
const isRoot = process.getuid?.() === 0
const secret = 'what-no-planner-may-see'
let folder: string
let tree: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sandbox-'))
  tree = join(folder, 'tree')
  await chmod(folder, 0o755)
  await mkdir(tree)
  await writeFile(join(folder, 'secret'), `${secret}\n`)
})
afterEach(() => rm(folder, { recursive: true }))

describe('a program in the sandbox', () => {
  test('sees the source, and no file, process or variable of the host', async () => {
    await writeFile(join(tree, 'app.js'), 'its own')
    const places = [
      `${folder}/secret`,
      '/etc/shadow',
      '/etc/hostname',
      '/root',
      '/home',
      '/data',
      '/work',
      '/run',
      '/sys',
    ]
    const tries = `cat /source/app/app.js; echo; for place in ${places.join(' ')}; do [ ! -e $place ] || echo SEEN $place; done
      cat /proc/1/environ | tr '\\0' '\\n'; ls /proc | grep -c '^[0-9]'; kill -0 ${process.pid} && echo SIGNALLED`
    // the control: everybody else can read it
    expect(outside(`cat ${folder}/secret`)).toContain(secret)

    const { stdout } = await inside(tries)
    expect(stdout).toMatch(/^its own/)
    expect(stdout).not.toMatch(/SEEN|SIGNALLED/)
    expect(
      stdout
        .split('\n')
        .filter((line) => line.includes('='))
        .toSorted(),
    ).toEqual(['PATH=/usr/bin:/bin', 'PWD=/'])
    expect(Number(stdout.trim().split('\n').at(-1))).toBeLessThan(8)
  })

  test('writes only to its /tmp, which is removed with it', async () => {
    const places = [
      '/source/app/new',
      '/source/new',
      '/new',
      '/usr/new',
      '/dev/shm/new',
      '/dev/new',
      '/proc/sys/kernel/hostname',
    ]
    const tries = places
      .map((place) => `(echo x > ${place}) 2>/dev/null && echo WROTE ${place}`)
      .join('; ')
    const { stdout } = await inside(`${tries}; echo x > /tmp/mine && cat /tmp/mine`)
    expect(stdout).toBe('x\n')
    expect((await inside('ls /tmp')).stdout).toBe('out\n')
    expect(readdirSync(tree)).toEqual([])
  })

  test('runs as nobody, without capabilities, and cannot get any', async () => {
    const tries = `id -u; grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status; unshare --user true && echo NAMESPACE
      mount -t tmpfs tmpfs /tmp && echo MOUNTED; chroot / true && echo CHROOT; mknod /tmp/disk b 254 0 && echo DEVICE`
    const words = (await inside(tries)).stdout.trim().split(/\s+/)
    const none = '0000000000000000'
    expect(words.join(' ')).toBe(
      `65534 CapPrm: ${none} CapEff: ${none} CapBnd: ${none} NoNewPrivs: 1`,
    )
  })

  test.runIf(isRoot)('is not a user of the host either', async () => {
    const marker = mark()
    const running = inside(`exec -a ${marker} sleep 2`)
    const pid = await pidOf(marker)
    const uids = /^Uid:\s+(\d+)\s+(\d+)/m
      .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
      .slice(1)
      .map(Number)
    expect(uids[0]).toBeGreaterThan(65_536)
    expect(uids[1]).toBe(uids[0])
    await running
  })

  test('reaches nothing that listens on this machine', async () => {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((each) => each?.family === 'IPv4' && !each.internal)
    for (const host of ['127.0.0.1', '::1', ...(address ? [address.address] : [])]) {
      let reached = 0
      const server = createServer((socket) => socket.end(`${(reached += 1)}`)).listen(0, host)
      await once(server, 'listening')
      const script = `exec 3<>/dev/tcp/${host}/${portOf(server)} && cat <&3`
      const control = spawn('/bin/bash', ['-c', script])
      await once(control, 'exit')
      expect([host, reached]).toEqual([host, 1])
      expect((await inside(script)).stderr).toMatch(/Connection refused|unreachable|Cannot assign/)
      expect([host, reached]).toEqual([host, 1])
      server.close()
    }
  })

  test.each([
    [
      'prints without end',
      'yes',
      { maxOutputBytes: 100_000 },
      'wrote more than 100000 bytes of output',
    ],
    [
      'leaves a result of 100 MB',
      'head -c 100000000 /dev/zero > /tmp/out/plan',
      { tmpBytes: 2 ** 28 },
      'of results',
    ],
    ['makes its result a device', 'ln -s /dev/zero /tmp/out/plan', {}, 'of results'],
    [
      'writes a file without end',
      'exec cat /dev/zero > /tmp/big',
      {},
      'wrote a file of more than 64 MiB',
    ],
    ['computes without end', 'while :; do :; done', { cpuS: 1 }, 'computed for more than 1 s'],
    ['sleeps without end', 'sleep 1000', { timeoutMs: 500 }, 'took longer than 0.5 s'],
    [
      'waits for its own result',
      'mkfifo /tmp/out/plan',
      { timeoutMs: 500 },
      'took longer than 0.5 s',
    ],
  ] satisfies [string, string, Partial<SandboxLimits>, string][])(
    'that %s is stopped',
    async (_, script, limits, limitExceeded) => {
      const ended = await inside(script, limits)
      expect(ended).toMatchObject({
        exitCode: null,
        limitExceeded: expect.stringContaining(limitExceeded),
      })
      expect(ended.stdout.length + ended.results.join('').length).toBeLessThanOrEqual(9 * 2 ** 20)
    },
  )

  test('gets no more space than its /tmp has, in any number of files', async () => {
    const { stdout } = await inside(
      'for i in 1 2 3 4 5 6 7 8; do head -c 20000000 /dev/zero > /tmp/$i; done; du -sm /tmp',
    )
    expect(parseInt(stdout, 10)).toBeLessThanOrEqual(65)
  })

  test('gets no more memory than its limit', async () => {
    const { stdout } = await inside('head -c 500000000 /dev/zero | tail -c 500000000 | wc -c', {
      memoryBytes: 2 ** 27,
    })
    expect(stdout).toBe('0\n')
    if (isRoot) {
      const many =
        'for i in 1 2 3 4 5 6; do head -c 60000000 /dev/zero | tail -c 60000000 > /dev/null & done; wait'
      expect((await inside(many, { memoryBytes: 2 ** 27 })).limitExceeded).toBe(
        'needed more than 128 MiB of memory',
      )
    }
  })

  test('that forks without end stays below its limit and is gone afterwards, and others plan meanwhile', async () => {
    const marker = mark()
    const bomb = inside(
      `bomb() { bomb | bomb & }; (exec -a ${marker} sleep 60) & bomb; sleep 1; echo */ > /dev/null; exit 4`,
      {
        processes: 50,
        timeoutMs: 5_000,
      },
    )
    await pidOf(marker)
    expect((await inside('for i in 1 2 3 4 5; do true & done; wait; echo fine')).stdout).toBe(
      'fine\n',
    )
    expect((await bomb).stderr).toContain('Resource temporarily unavailable')
    expect(pidsOf(marker)).toEqual([])
  })

  test('leaves no process, mount or control group behind', async () => {
    const marker = mark()
    const ended = await inside(
      `(setsid bash -c 'exec -a ${marker} sleep 60' &) ; sleep 0.3; exit 3`,
    )
    expect(ended).toMatchObject({ exitCode: 3, limitExceeded: null })
    expect(pidsOf(marker)).toEqual([])
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toMatch(
      new RegExp(`${folder}|tarmac-sandbox`),
    )
    expect(
      execFileSync('find', [
        '/sys/fs/cgroup',
        '-name',
        `tarmac-sandbox-${process.pid}.*`,
      ]).toString(),
    ).toBe('')
  })

  test('ends when the gateway is killed, and the next gateway clears up', async () => {
    const marker = mark()
    const module = join(import.meta.dirname, '../../gateway/src/host/sandbox/sandbox.ts')
    const work = { ...call(`exec -a ${marker} sleep 60`), limits: planLimits }
    const code = `const { runInSandbox } = await import(${JSON.stringify(module)})
      await runInSandbox(${JSON.stringify(work)}, new AbortController().signal)`
    const gateway = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: 'inherit',
    })
    await pidOf(marker)
    gateway.kill('SIGKILL')
    await once(gateway, 'exit')
    for (let tries = 0; tries < 50 && pidsOf(marker).length > 0; tries++) await sleep(20)
    expect(pidsOf(marker)).toEqual([])

    const left = () =>
      execFileSync('find', [
        '/sys/fs/cgroup',
        '-name',
        `tarmac-sandbox-${gateway.pid}.*`,
      ]).toString()
    expect(left() !== '').toBe((await sandboxKind()).includes('cgroup'))

    // A process that escaped everything else is still in the group.
    const stray = spawn('sleep', ['600'])
    const ended = once(stray, 'exit')
    for (const folder of left().split('\n').filter(Boolean))
      writeFileSync(join(folder, 'cgroup.procs'), `${stray.pid}`)
    if (left() === '') stray.kill('SIGKILL')
    const next = `const { runInSandbox } = await import(${JSON.stringify(module)})
      await runInSandbox(${JSON.stringify({ ...call('true'), limits: planLimits })}, new AbortController().signal)`
    execFileSync(process.execPath, ['--input-type=module', '-e', next])
    expect(left()).toBe('') // the next gateway sweeps it
    expect(await ended).toEqual([null, 'SIGKILL'])
  })
})

describe.runIf(isRoot)('a program in the sandbox with network access', () => {
  test('reaches the public network, and nothing else', async () => {
    await using undo = new AsyncDisposableStack()
    const ip = (command: string) => execFileSync('ip', command.split(' '))
    // A neighbour with a public and a private address, and the metadata address, on this machine.
    const [open, closed, metadata] = ['21.94.63.7', '10.94.63.7', '169.254.169.254']
    ip('netns add tarmac-test')
    undo.defer(() => void ip('netns delete tarmac-test'))
    ip('link add tarmac-test type veth peer name eth0 netns tarmac-test')
    for (const command of [
      'address add 198.19.255.1/30 dev tarmac-test',
      'link set tarmac-test up',
    ])
      ip(command)
    for (const command of [
      'address add 198.19.255.2/30 dev eth0',
      'link set eth0 up',
      'link set lo up',
    ])
      ip(`-n tarmac-test ${command}`)
    ip('-n tarmac-test route add default via 198.19.255.1')
    for (const address of [open, closed]) {
      ip(`-n tarmac-test address add ${address}/32 dev lo`)
      ip(`route add ${address}/32 via 198.19.255.2`)
    }
    ip(`address add ${metadata}/32 dev lo`)
    undo.defer(() => void ip(`address del ${metadata}/32 dev lo`))
    const listener = `require('net').createServer((socket) => socket.end('REACHED')).listen(6390, () => console.log('up'))`
    for (const where of [['ip', 'netns', 'exec', 'tarmac-test'], ['env']]) {
      const server = spawn(where[0]!, [...where.slice(1), process.execPath, '-e', listener])
      undo.defer(() => void server.kill('SIGKILL'))
      await once(server.stdout, 'data')
    }

    const network = undo.use(await openLookupNetwork(folder, { dns: ['1.1.1.1'], allow: [] }))
    const name = network.namespace.split('/').at(-1)!
    const [cable] = networkInterfaces()[name]!
    const own = Object.values(networkInterfaces())
      .flat()
      .find((each) => each?.family === 'IPv4' && !each.internal)!
    const targets = [open, closed, metadata, cable!.address, own.address, '198.19.255.1']
    const reach = async () => {
      const tries = targets.map(
        (to) =>
          `(timeout 2 bash -c 'exec 3<>/dev/tcp/${to}/6390 && cat <&3 >/dev/null && echo ${to}' 2>/dev/null) &`,
      )
      const work = {
        ...call(`${tries.join('\n')} wait; cat /etc/resolv.conf`),
        network: network.namespace,
        limits: planLimits,
      }
      const { stdout } = await runInSandbox(
        { ...work, readOnlyMounts: network.readOnlyMounts },
        never,
      )
      expect(stdout).toContain('nameserver 1.1.1.1')
      return targets.filter((to) => stdout.split('\n').includes(to))
    }
    expect(await reach()).toEqual([open])
    execFileSync('nft', ['delete', 'table', 'inet', `tarmac_${name}`])
    expect(await reach()).toEqual(targets) // the control: without isolation it reaches each of them

    await network[Symbol.asyncDispose]()
    expect(Object.keys(networkInterfaces())).not.toContain(name)
    expect(execFileSync('nft', ['list', 'tables']).toString()).not.toContain(name)
  })
})

describe('the planner of this machine', () => {
  const plan = async (files: Record<string, string>, build: Record<string, string> = {}) => {
    for (const [path, text] of Object.entries(files)) await writeFile(join(tree, path), text)
    const { path } = await findPlanner()
    const output: string[] = []
    const options = { plan: null, dockerfile: null, build, deploy: true, rebuild: false }
    const entries = Object.keys(files).map((path) => ({
      type: 'file' as const,
      path,
      mode: 0o644 as const,
      sizeBytes: 0,
      sha256: '',
    }))
    const source = { root: tree, digest: '', files: 1, sizeBytes: 1, entries }
    const emit = (event: object) => output.push(JSON.stringify(event))
    const limits = { retryWaitsMs: [] }
    const request = {
      planner: await openPlanner(path, never),
      app: 'my-app',
      tree: source,
      options,
      emit,
      limits,
      network: null,
    }
    const planned = await planSource(request, never).catch((problem: Error) => problem.message)
    return { planned, all: `${output.join('\n')}${JSON.stringify(planned)}` }
  }

  test('plans a plain app', async () => {
    const { planned } = await plan({ 'start.sh': 'echo hi' })
    expect(planned).toMatchObject({ builder: 'railpack', facts: { provider: 'shell' } })
  })

  const plain = {
    'start.sh': 'echo hi',
    Procfile: 'web: from Procfile\n',
    'own.json': '{"deploy":{"startCommand":"from own.json"}}',
  }
  test.each([
    ['Procfile', plain, {}, 'from Procfile'],
    [
      'build.RAILPACK_START_CMD',
      plain,
      { RAILPACK_START_CMD: 'from a variable' },
      'from a variable',
    ],
    ['build.RAILPACK_CONFIG_FILE', plain, { RAILPACK_CONFIG_FILE: 'own.json' }, 'from own.json'],
    [
      'railpack.json',
      { ...plain, 'railpack.json': '{"deploy":{"startCommand":"from railpack.json"}}' },
      { RAILPACK_START_CMD: 'x' },
      'from railpack.json',
    ],
  ])('starts the app as %s says', async (_, files, build, startCommand) => {
    expect((await plan(files, build)).planned).toMatchObject({ facts: { startCommand } })
  })

  test('builds the app with the command in build.RAILPACK_BUILD_CMD', async () => {
    expect(
      (await plan({ 'start.sh': 'echo hi' }, { RAILPACK_BUILD_CMD: 'make it so' })).all,
    ).toContain('make it so')
  })

  test('copies nothing that links in the source point at', async () => {
    const outsiders = {
      Procfile: 'secret',
      '.dockerignore': 'secret',
      '.nvmrc': 'secret',
      'mise.toml': 'secret',
      Caddyfile: 'secret',
    }
    await writeFile(join(folder, 'secret'), `web: ${secret}\n`)
    for (const [link, target] of Object.entries(outsiders))
      await symlink(join(folder, target), join(tree, link))
    const { path } = await findPlanner()
    await mkdir(join(folder, 'out'))
    await writeFile(join(tree, 'package.json'), '{"scripts":{"start":"node ."}}')
    await writeFile(join(tree, 'index.js'), '')
    // The control: the same planner outside the sandbox puts the file in the plan.
    execFileSync(path, ['prepare', tree, '--plan-out', join(folder, 'out/plan.json')], {
      env: { PATH: '/usr/bin:/bin' },
      stdio: 'pipe',
    })
    expect(readFileSync(join(folder, 'out/plan.json'), 'utf8')).toContain(secret)
    expect((await plan({})).all).not.toContain(secret)
  })

  test('runs nothing that a mise.toml names', async () => {
    const command = `touch ${folder}/ran /tmp/ran`
    const toml = `[env]\nX = "{{ exec(command='${command}') }}"\n[tools]\nnode = "{{ exec(command='${command}') }}"\n[hooks]\nenter = "${command}"\n`
    const { all } = await plan({
      'mise.toml': toml,
      'package.json': '{"scripts":{"start":"node ."}}',
      'index.js': '',
    })
    expect(all).not.toBe('')
    expect([existsSync(join(folder, 'ran')), existsSync('/tmp/ran')]).toEqual([false, false])
  })

  test('is refused with advice when it is more than one file', async () => {
    const path = join(import.meta.dirname, '../../lab/planner/railpack-standin')
    const asked = openPlanner(path, never)
    await expect(asked).rejects.toThrow(/must be a single file/)
  })
})

const mark = () => `marker-${process.pid}-${Math.random().toString(36).slice(2)}`
const outside = (script: string) => execFileSync('/bin/bash', ['-c', script]).toString()
const call = (script: string) => ({
  command: '/bin/bash',
  args: ['-c', script],
  env: { PATH: '/usr/bin:/bin' },
  readOnlyMounts: { '/source/app': tree },
  folders: ['/tmp/out'],
  results: ['/tmp/out/plan', '/tmp/out/info'],
  network: null,
})
const inside = (script: string, limits: Partial<SandboxLimits> = {}) =>
  runInSandbox({ ...call(script), limits: { ...planLimits, timeoutMs: 20_000, ...limits } }, never)

/** Processes of the host whose own name is the marker. */
function pidsOf(marker: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      return readFileSync(join('/proc', name, 'cmdline'), 'utf8').startsWith(marker)
        ? [Number(name)]
        : []
    } catch {
      return [] // it has just ended
    }
  })
}

async function pidOf(marker: string): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const [pid] = pidsOf(marker)
    if (pid) return pid
    await sleep(25)
  }
  throw new Error(`${marker} did not start.`)
}
