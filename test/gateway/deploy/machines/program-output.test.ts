import { newLines } from '../../../../api/text/new-lines.ts'
import { expect, test } from 'vitest'
import { lastOf, linesOfVersion } from '../../../../gateway/src/deploy/machines/program-output.ts'
import type { Machine } from '#fly/machine.ts'

const machine = (born: number | null): Machine => ({
  id: 'm1',
  name: 'one',
  state: 'stopped',
  region: 'fra',
  instance_id: '01A',
  config: {},
  events: born === null ? [] : [{ type: 'update', status: 'replacing', timestamp: born }],
})
const boot = ' INFO Starting init (commit: a1a45272)...'

test('only the lines of the current version are its output, without those of Fly', () => {
  const log = [
    { at: 10, text: boot },
    { at: 11, text: 'old version serves' },
    { at: 21, text: 'old version stops' },
    { at: 22, text: boot },
    { at: 22, text: ' INFO Preparing to run: `node server.mjs` as root' },
    { at: 22, text: ' INFO [fly api proxy] listening at /.fly/api' },
    { at: 22, text: '2025/05/28 00:45:45 INFO SSH listening listen_address=[fdaa::2]:22' },
    { at: 23, text: 'Machine started in 1.144s' },
    { at: 23, text: 'DATABASE_URL is not set' },
    { at: 24, text: ' INFO Main child exited normally with code: 1' },
    { at: 24, text: ' WARN could not unmount /rootfs: EINVAL: Invalid argument' },
    { at: 24, text: '[  359.332019] reboot: Restarting system' },
    { at: 25, text: boot },
    { at: 26, text: ' ERROR Error: failed to spawn command: /app: No such file or directory' },
  ]
  expect(linesOfVersion(log, machine(20))).toEqual([
    'DATABASE_URL is not set',
    ' ERROR Error: failed to spawn command: /app: No such file or directory',
  ])
})

test('a log without times, and one without Fly’s lines, is shown whole', () => {
  const log = ['one', 'two'].map((text) => ({ at: null, text }))
  expect(linesOfVersion(log, machine(20))).toEqual(['one', 'two'])
  expect(linesOfVersion([{ at: 5, text: 'one' }], machine(null))).toEqual(['one'])
})

test('the end of an output is 50 lines and 32 KiB at most', () => {
  const lines = Array.from({ length: 80 }, (_, at) => `line ${at}`)
  expect(lastOf(lines)).toEqual(lines.slice(30))
  const long = lines.map((line) => `${line} ${'ü'.repeat(900)}`)
  expect(lastOf(long)).toEqual(long.slice(-18))
  expect(lastOf(lines.map(() => '\x1b'.repeat(1000)))).toHaveLength(5)
  expect(lastOf([])).toEqual([])
})

test('a later look shows only what is new', () => {
  expect(newLines([], ['a'])).toEqual(['a'])
  expect(newLines(['a', 'b'], ['a', 'b'])).toEqual([])
  expect(newLines(['a', 'b'], ['a', 'b', 'c'])).toEqual(['c'])
  expect(newLines(['a', 'b', 'c'], ['b', 'c', 'd'])).toEqual(['d'])
  expect(newLines(['tick', 'tick'], ['tick', 'tick', 'tick'])).toEqual(['tick'])
  expect(newLines(['a', 'b'], ['x', 'y'])).toEqual(['x', 'y'])
})
