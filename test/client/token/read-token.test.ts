import { expect, test } from 'vitest'
import { readCommandLine } from '../../../client/src/command-line.ts'
import { tokenTable } from '../../../client/src/token/token-text.ts'
import { newToken } from '../../../gateway/src/callers/tokens/token-text.ts'

const env = { TARMAC_GATEWAY: 'http://tarmac:8080' }
const requestOf = (...args: string[]) => {
  const command = readCommandLine(['token', ...args], env)
  return command.name === 'token' ? command.request : null
}

test('tarmac token create reads its lists and leaves out what is not given', () => {
  expect(requestOf('create', 'ci')).toEqual({ verb: 'create', body: { name: 'ci' } })
  expect(
    requestOf(
      ...'create ci --scope read,deploy --scope secrets --owner ada --team acme'.split(' '),
      '--app',
      'web, pr-*',
      '--expires',
      '12h',
    ),
  ).toEqual({
    verb: 'create',
    body: {
      name: 'ci',
      scopes: ['read', 'deploy', 'secrets'],
      apps: ['web', 'pr-*'],
      owners: ['ada'],
      team: 'acme',
      expires: '12h',
    },
  })
})

test('tarmac token create --deploy-link is for one app', () => {
  expect(requestOf('create', '--deploy-link', '--app', 'web', '--expires', '5m')).toEqual({
    verb: 'link',
    app: 'web',
    body: { expires: '5m' },
  })
  for (const wrong of [
    [],
    ['--app', 'a,b'],
    ['--app', 'web', '--scope', 'read'],
    ['x', '--app', 'web'],
  ])
    expect(() => requestOf('create', '--deploy-link', ...wrong)).toThrow()
})

test('list, revoke and rotate; the text of a token becomes its id', () => {
  const { id, text } = newToken()
  expect(requestOf('list')).toEqual({ verb: 'list', all: false })
  expect(requestOf('list', '--all')).toEqual({ verb: 'list', all: true })
  expect(requestOf('revoke', text)).toEqual({ verb: 'revoke', token: id })
  expect(requestOf('rotate', 'ci', '--overlap', '10m')).toEqual({
    verb: 'rotate',
    token: 'ci',
    body: { overlap: '10m' },
  })
})

test('a wrong use says what is right', () => {
  expect(() => requestOf('create')).toThrow('Name the token after what uses it')
  expect(() => requestOf('revoke')).toThrow(
    'The usage is: tarmac token create|list|revoke|rotate [NAME].',
  )
  expect(() => requestOf('list', '--overlap', '3m')).toThrow(
    '--overlap is not an option of tarmac token list.',
  )
  expect(() => requestOf('make', 'ci')).toThrow('The usage is')
  expect(() => readCommandLine(['deploy', '--scope', 'read'], env)).toThrow(
    '--scope is not an option of tarmac deploy',
  )
})

test('the table of tokens has a line for each', () => {
  const facts = {
    id: 'aB3456789012',
    kind: 'token',
    name: 'ci',
    state: 'active',
    scopes: ['deploy'],
    apps: ['web', 'pr-*'],
    owners: null,
    team: 'acme',
    createdAt: '2026-11-30T12:00:00.000Z',
    createdBy: 'operator',
    expiresAt: '2027-02-28T12:00:00.000Z',
    lastUsedAt: null,
    rotatedAt: null,
    oldSecretUntil: null,
    revokedAt: null,
    deployment: null,
  } as const
  const all = { ...facts, name: 'a-longer-name', apps: null, team: null, expiresAt: null } as const
  expect(
    tokenTable([
      { ...facts, scopes: ['deploy'], apps: ['web', 'pr-*'] },
      { ...all, scopes: ['read', 'secrets'] },
    ]).join('\n'),
  )
    .toBe(`NAME           ID            STATE   SCOPES        APPS                   EXPIRES (UTC)     LAST USED (UTC)  MADE BY
ci             aB3456789012  active  deploy        web,pr-* of team acme  2027-02-28 12:00  never            operator
a-longer-name  aB3456789012  active  read,secrets  all apps               never             never            operator`)
  expect(tokenTable([])).toEqual(['no tokens; to make one: tarmac token create NAME'])
})

test('of two limits given, none is dropped in silence', () => {
  expect(() => requestOf('create', 'ci', '--app', 'web', '--app', 'api')).toThrow(
    '--app is given twice; give it once, as a list: --app a,b. See tarmac --help.',
  )
  expect(() => requestOf('create', 'ci', '--team', 'a', '--team', 'b')).toThrow(
    '--team is given twice; give it once. See tarmac --help.',
  )
  const rule = 'rule add x --issuer https://i --claim a=b --app web --app api'
  expect(() => readCommandLine(rule.split(' '), env)).toThrow('--app is given twice')
})
