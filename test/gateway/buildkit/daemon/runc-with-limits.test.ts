import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readStepRecord } from '../../../../gateway/src/buildkit/steps/step-records.ts'
import { runcWithLimits } from '../../../../gateway/src/buildkit/daemon/step-limits.ts'

const id = 'yx0p0o2n7lsr9nkdw1o8bhqzi'
const busybox = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path))
const shells = [['/bin/sh'], ...(busybox ? [[busybox, 'sh']] : [])]
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'runc-with-limits-'))
  mkdirSync(join(dir, 'steps'))
  writeFileSync(
    join(dir, 'runc'),
    `#!/bin/sh\nprintf '[%s]\\n' "$@" > '${dir}/asked'; cat; echo own words >&2; cat /proc/self/oom_score_adj > '${dir}/score'; kill -\${SIGNAL:-0} $$; exit \${CODE:-0}\n`,
    { mode: 0o755 },
  )
})
afterEach(() => rmSync(dir, { recursive: true }))

/** Makes fake control group files. The test touches none of the kernel's own. */
function tree(version: 1 | 2): void {
  const root = join(dir, 'cgroup')
  mkdirSync(root)
  if (version === 2) {
    writeFileSync(join(root, 'cgroup.controllers'), 'cpu memory pids\n')
    writeFileSync(join(root, 'cgroup.subtree_control'), 'cpu memory\n')
  }
  const v1 = ['cpuset', 'cpu,cpuacct', 'memory', 'pids'].map(
    (each) => `cgroup ${root}/${each} cgroup rw,nosuid,${each} 0 0\n`,
  )
  const unified = `cgroup2 ${version === 2 ? root : join(root, 'unified')} cgroup2 rw 0 0\n`
  writeFileSync(
    join(dir, 'mounts'),
    `proc /proc proc rw 0 0\n${unified}${version === 1 ? v1.join('') : ''}`,
  )
}

function call(shell: string[], args: string[], more: Record<string, string> = {}) {
  const env = {
    PATH: process.env['PATH']!,
    TARMAC_CGROUP_ROOT: join(dir, 'cgroup'),
    TARMAC_MOUNTS: join(dir, 'mounts'),
    TARMAC_RUNC: join(dir, 'runc'),
    TARMAC_STEPS_GROUP: 'tarmac-steps-ab',
    TARMAC_STEPS_MEMORY: '8000000000',
    TARMAC_STEPS_PROCESSES: '20000',
    TARMAC_STEP_MEMORY: '4000000000',
    TARMAC_STEP_PROCESSES: '4096',
    TARMAC_STEP_CPU_QUOTA: '150000',
    TARMAC_STEP_OOM_SCORE: '600',
    TARMAC_STEP_RECORDS: join(dir, 'steps'),
    ...more,
  }
  const [command = '', ...rest] = [...shell, runcWithLimits, ...args]
  return spawnSync(command, rest, { env, input: 'what comes in\n', encoding: 'utf8' })
}
const log = ['--log', '/root/executor/runc log.json', '--log-format', 'json']
const run = [...log, 'run', '--bundle', '/root/executor/run delete', '--keep', id]
const files = (group: string) =>
  Object.fromEntries(
    readdirSync(join(dir, 'cgroup', group), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(dir, 'cgroup', group, name), 'utf8').trim()]),
  )
const put = (group: string, name: string, text: string) => {
  const path = join(dir, 'cgroup', group, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

describe.each(shells)('runc-with-limits in %s', (...shell) => {
  test('passes arguments, streams, exit code and signal on unchanged, and prints the record’s name first', () => {
    tree(2)
    const ended = call(shell, run, { CODE: '37' })
    expect([ended.status, ended.stdout, ended.stderr]).toEqual([
      37,
      'what comes in\n',
      `tarmac-step ${id}\nown words\n`,
    ])
    expect(readFileSync(join(dir, 'asked'), 'utf8')).toBe(run.map((each) => `[${each}]\n`).join(''))
    expect(call(shell, run, { SIGNAL: 'TERM' }).signal).toBe('SIGTERM')
    const kill = call(shell, [...log, 'kill', id, '9'])
    expect([kill.status, kill.stdout, kill.stderr]).toEqual([0, 'what comes in\n', 'own words\n'])
  })

  test('with limited output, each step gets its own key for the note, beside its name', () => {
    tree(2)
    const said = () => call(shell, run, { TARMAC_STEP_OUTPUT_HEAD: '1' }).stderr
    expect(said()).toMatch(new RegExp(`^tarmac-step ${id} [0-9a-f-]{36}\\nown words\\n$`))
    expect(said()).not.toBe(said())
  })

  test('cgroup v2: makes the step’s group where runc looks for it, with its limits, below the group of all steps', () => {
    tree(2)
    put(`tarmac-steps-ab/buildkit/${id}`, 'memory.swap.max', 'max')
    put(`tarmac-steps-ab/buildkit/${id}`, 'memory.oom.group', '0')
    expect(call(shell, run).status).toBe(0)
    // the other controllers were there already
    expect(files('')).toMatchObject({ 'cgroup.subtree_control': '+pids' })
    expect(files('tarmac-steps-ab')).toMatchObject({
      'memory.max': '8000000000',
      'pids.max': '20000',
      'cpu.weight': '50',
    })
    expect(files(`tarmac-steps-ab/buildkit/${id}`)).toEqual({
      'memory.max': '4000000000',
      'memory.swap.max': '0',
      'memory.oom.group': '1',
      'pids.max': '4096',
      'cpu.max': '150000 100000',
    })
    expect(readFileSync(join(dir, 'score'), 'utf8')).toBe('600\n')
  })

  test('cgroup v1: makes the group in the tree of each controller, wherever it is mounted', () => {
    tree(1)
    put(`memory/tarmac-steps-ab/buildkit/${id}`, 'memory.memsw.limit_in_bytes', 'max')
    put(`cpu,cpuacct/tarmac-steps-ab/buildkit/${id}`, 'cpu.cfs_quota_us', '-1')
    expect(call(shell, run).status).toBe(0)
    expect(files('memory/tarmac-steps-ab')).toEqual({ 'memory.limit_in_bytes': '8000000000' })
    expect(files(`memory/tarmac-steps-ab/buildkit/${id}`)).toEqual({
      'memory.limit_in_bytes': '4000000000',
      'memory.memsw.limit_in_bytes': '4000000000',
    })
    expect(files(`pids/tarmac-steps-ab/buildkit/${id}`)).toEqual({ 'pids.max': '4096' })
    expect(files('cpu,cpuacct/tarmac-steps-ab')).toEqual({ 'cpu.shares': '512' })
    expect(files(`cpu,cpuacct/tarmac-steps-ab/buildkit/${id}`)).toEqual({
      'cpu.cfs_quota_us': '150000',
    })
    expect(readFileSync(join(dir, 'steps', id), 'utf8')).toContain(
      `group ${dir}/cgroup/memory/tarmac-steps-ab/buildkit/${id}\n`,
    )
  })

  test.each([
    [
      'v1',
      1,
      { 'memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n' },
      { killed: 2, atOwnLimit: 0 },
    ],
    [
      'v1, at its own limit',
      1,
      {
        'memory/memory.oom_control': 'oom_kill 1\n',
        'memory/memory.max_usage_in_bytes': '3999999000\n',
      },
      { killed: 1, atOwnLimit: 1 },
    ],
    ['v1, processes', 1, { 'pids/pids.events': 'max 12\n' }, { forksRefused: 12 }],
    [
      'v2',
      2,
      {
        'memory.events': 'low 0\noom 3\noom_kill 3\noom_group_kill 1\n',
        'memory.events.local': 'oom 1\noom_kill 3\n',
      },
      { killed: 3, atOwnLimit: 1 },
    ],
    [
      'v2, all together',
      2,
      { 'memory.events': 'oom_kill 3\n', 'memory.events.local': 'oom 0\n' },
      { killed: 3, atOwnLimit: 0 },
    ],
    ['v2, processes', 2, { 'pids.events': 'max 7\n' }, { killed: 0, forksRefused: 7 }],
  ] as const)(
    'records which limits were reached before the group is removed: %s',
    (_, version, events, facts) => {
      tree(version)
      call(shell, run)
      for (const [name, text] of Object.entries(events)) {
        const [folder, file] = name.includes('/') ? name.split('/') : ['', name]
        put(join(folder!, `tarmac-steps-ab/buildkit/${id}`), file!, text)
      }
      expect(call(shell, [...log, 'delete', id]).stderr).toBe('own words\n')
      expect(readStepRecord(dir, id)).toMatchObject({
        memory: 4_000_000_000,
        memoryOfAll: 8_000_000_000,
        processes: 4096,
        refused: null,
        ...facts,
      })
    },
  )

  test.each([
    [
      1,
      {
        'memory/tarmac-steps-ab/buildkit/ID/memory.max_usage_in_bytes': '52428800',
        'cpu,cpuacct/tarmac-steps-ab/buildkit/ID/cpuacct.usage': '1234567890',
      },
    ],
    [
      2,
      {
        'tarmac-steps-ab/buildkit/ID/memory.peak': '52428800',
        'tarmac-steps-ab/buildkit/ID/cpu.stat': 'usage_usec 1234567\nuser_usec 1000000',
      },
    ],
  ] as const)('records what a step used: cgroup v%d', (version, used) => {
    tree(version)
    call(shell, run)
    for (const [path, text] of Object.entries(used)) {
      const file = path.replace('ID', id)
      put(dirname(file), basename(file), `${text}\n`)
    }
    expect(call(shell, [...log, 'delete', id]).stderr).toBe('own words\n')
    expect(readStepRecord(dir, id)).toMatchObject({
      peakMemoryBytes: 52_428_800,
      cpuMs: 1234,
      killed: 0,
      forksRefused: 0,
    })
  })

  test('the record of a step that reached no limit and was not measured says so', () => {
    tree(2)
    call(shell, run)
    put(`tarmac-steps-ab/buildkit/${id}`, 'memory.events', 'oom 0\noom_kill 0\n')
    put(`tarmac-steps-ab/buildkit/${id}`, 'pids.events', 'max 0\n')
    call(shell, [...log, 'delete', '--force', id])
    expect(readStepRecord(dir, id)).toMatchObject({
      killed: 0,
      forksRefused: 0,
      peakMemoryBytes: null,
      cpuMs: null,
    })
  })

  test('does not run a step that it cannot limit, and says why', () => {
    tree(1)
    rmSync(join(dir, 'mounts'))
    writeFileSync(join(dir, 'mounts'), `cgroup ${dir}/cgroup/memory cgroup rw,memory 0 0\n`)
    const ended = call(shell, run)
    expect(ended.status).toBe(1)
    expect(ended.stderr).toContain('no control groups for memory, pids and cpu')
    expect(existsSync(join(dir, 'asked'))).toBe(false)
    expect(readStepRecord(dir, id)?.refused).toBe('no control groups for memory, pids and cpu')
  })

  test.each(['../../etc', '', '.', 'a b', '$(touch x)', 'a\nb'])(
    'does not take %j for a container',
    (name) => {
      tree(2)
      expect(call(shell, [...run.slice(0, -1), name]).status).toBe(1)
      expect(existsSync(join(dir, 'asked'))).toBe(false)
      expect(readdirSync(join(dir, 'steps'))).toEqual([])
    },
  )

  test('runs a step without a record where the disk is full', () => {
    tree(2)
    expect(call(shell, run, { TARMAC_STEP_RECORDS: '/dev/full' }).status).toBe(0)
    expect(files(`tarmac-steps-ab/buildkit/${id}`)).toMatchObject({ 'pids.max': '4096' })
  })
})

test('runc-with-limits is a program, and uses the runc beside the daemon', () => {
  tree(2)
  execFileSync('mv', [join(dir, 'runc'), join(dir, 'buildkit-runc')])
  const ended = call([], run, { TARMAC_RUNC: '', PATH: `${dir}:${process.env['PATH']}` })
  expect([ended.status, ended.stdout]).toEqual([0, 'what comes in\n'])
})
