import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { readLog } from '../../../lab/localfly/machine-log.ts'
import { FlyState } from '../../../lab/localfly/state.ts'
import { aMachine } from './machine.ts'

test('lines that podman cut are joined per stream; of a long log only the end is returned; a missing log is empty', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'localfly-log-'))
  const state = new FlyState(dir)
  const machine = aMachine()
  expect(await readLog(state, machine)).toEqual([])

  const file = state.folder('logs', machine.id)
  mkdirSync(dirname(file))
  const at = '2026-11-23T12:00:00.000000001+00:00'
  writeFileSync(
    file,
    `${'x'.repeat(2 << 20)}\n${at} stdout P a long \n${at} stdout F line\n${at} stderr F oh\n`,
  )
  const messages = (await readLog(state, machine)).map(({ message }) => message)
  expect(messages).toEqual(['a long line', 'oh'])

  const boot = ' INFO Starting init (commit: localfly)...'
  const parts = [
    `stdout F ${boot}`,
    'stdout P no line feed',
    `stdout F ${boot}`,
    'stderr P the end',
  ]
  writeFileSync(file, parts.map((part) => `${at} ${part}\n`).join(''))
  expect((await readLog(state, machine)).map(({ message }) => message)).toEqual([
    boot,
    'no line feed',
    boot,
    'the end',
  ])
  rmSync(dir, { recursive: true })
})
