import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { probeScript, readProbe } from '../../../../gateway/src/buildkit/daemon/step-probe.ts'

const controls = ['sockets', 'names', 'devices', 'reading', 'writing', 'mounts'].map(
  (each) => `control ${each}`,
)
const ended = ['limited 268435456 4096', 'looked around']

test('a probe that finds nothing counts only when each of its controls found its target', () => {
  expect(readProbe([...controls, ...ended])).toEqual({ things: [], limited: true })
  for (const missing of controls)
    expect(readProbe([...controls.filter((each) => each !== missing), ...ended])).toBe(null)
  expect(readProbe(controls)).toBe(null)
})

test('a probe’s finding is named once, whatever its name', () => {
  const found = [
    'found socket /dev/otel-grpc.sock',
    'found device vda',
    'found socket /dev/otel-grpc.sock',
  ]
  expect(readProbe([...found, ...controls, ...ended])?.things).toEqual([
    'socket /dev/otel-grpc.sock',
    'device vda',
  ])
})

test.each([
  ['9223372036854771712 4096', false],
  ['max 4096', false],
  ['268435456 max', false],
  [' ', false],
  ['268435456 4096', true],
])('the limits of a step with %j are %j', (limits, limited) => {
  expect(readProbe([...controls, `limited ${limits}`, 'looked around'])?.limited).toBe(limited)
})

test('the script is valid for a POSIX shell', () => {
  execFileSync('/bin/sh', ['-n'], { input: probeScript })
})
