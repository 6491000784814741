import { expect, test } from 'vitest'
import { help, helpOf } from '../../client/src/help.ts'

test('the help of a command has its usage, its options, those of all commands, and exit codes', () => {
  const up = helpOf('up')
  expect(up).toMatch(/^Usage: tarmac up +make or repair/)
  for (const title of ['up, down and upgrade', 'up', 'all commands'])
    expect(up).toContain(`\nOptions of ${title}:\n`)
  expect(up).not.toMatch(/Options of (?:down|upgrade|deploy)|--gateway/)
  for (const option of ['--org NAME', '--image REF']) expect(helpOf('upgrade')).toContain(option)
  for (const name of ['backup', 'deploy', 'doctor']) expect(helpOf(name)).toContain('--app NAME')
  expect(up).toContain('Without --size, up takes')
  expect(up).toContain('\nExit codes:\n')

  expect(helpOf('cache')).toMatch(/^Usage: tarmac cache .*\n {7}tarmac cache rm /)
  expect(helpOf('deploy')).toContain('A .dockerignore in the folder alone decides')
  expect(helpOf('follow')).not.toContain('.dockerignore')
  expect(helpOf('builder status')).toContain('Options of builder status:')
})

test('the help of an unknown command is all help', () => {
  expect(helpOf('nothing')).toBe(help)
})
