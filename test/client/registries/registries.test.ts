import { expect, test } from 'vitest'
import { readCommandLine } from '../../../client/src/command-line.ts'
import { registries } from '../../../client/src/registries/registries.ts'
import type { Inputs } from '../../../client/src/runtime/read-values.ts'
import { startRegistry } from '../../gateway/registries/fake-registry.ts'
import { startHttp, token } from '../../gateway/http/start-http.ts'

const env = { TARMAC_GATEWAY: 'http://tarmac.flycast' }
const request = (...args: string[]) => {
  const command = readCommandLine(['registries', ...args], env)
  if (command.name !== 'registries') throw new Error(command.name)
  return command.request
}

/** Standard input, files, and a terminal where somebody types `typed`. */
function inputsOf({
  stdin = '',
  files = {},
  typed,
}: {
  stdin?: string
  files?: Record<string, string>
  typed?: string
}) {
  const asked: string[] = []
  const inputs: Inputs = {
    stdin: async () => stdin,
    read: (path) => {
      if (files[path] === undefined) throw new Error('no such file')
      return files[path]
    },
    output: { write: (text: string) => asked.push(text) },
    input: {
      isTTY: typed !== undefined,
      on(_name: string, listen: (data: string) => void) {
        queueMicrotask(() => listen(`${typed}\r`))
        return this
      },
      off() {
        return this
      },
      resume: () => {},
      pause: () => {},
      setRawMode: () => {},
    } as unknown as Inputs['input'],
  }
  return { inputs, asked }
}

async function startBoth() {
  await using opening = new AsyncDisposableStack()
  const registry = opening.use(await startRegistry())
  const http = opening.use(await startHttp({ registriesAt: [registry.host] }))
  const open = opening.move()
  const printed: string[] = []
  const printer = {
    result(_facts: object, lines: string[]) {
      printed.push(...lines)
      return 0 as const
    },
  }
  const run = async (args: string[], given: Parameters<typeof inputsOf>[0] = {}) => {
    const { inputs, asked } = inputsOf(given)
    const command = readCommandLine(['registries', ...args, '--token', token], {
      TARMAC_GATEWAY: http.url,
    })
    if (command.name !== 'registries') throw new Error(command.name)
    printed.length = 0
    const code = await registries(command, printer, AbortSignal.timeout(20_000), inputs)
    return { code, lines: [...printed], asked: asked.join('') }
  }
  return { registry, run, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

test('a login is added with a password that is asked for, listed, tested, rotated and removed', async () => {
  await using both = await startBoth()
  const { registry, run } = both
  const address = `${registry.host}/acme`
  expect((await run(['list'])).lines[0]).toContain('no logins at registries; to add one:')

  const add = ['add', address, '--username', 'bot']
  await expect(run(add, { typed: 'wrong-password' })).rejects.toMatchObject({
    code: 'registry-login-refused',
    message: expect.stringContaining('Nothing was changed'),
  })
  const added = await run([...add, '--image', `${address}/web:1`], { typed: 'right-password' })
  expect(added.asked).toBe(`Password of bot at ${address} (not shown): \n`)
  expect(added.lines).toEqual([
    expect.stringMatching(/^added .*\/acme \(reg_[\da-f]{10}\) for bot; all apps may use it$/),
    `${registry.host} accepts the login, and it can read ${registry.host}/acme/web.`,
  ])

  const { lines } = await run([])
  expect(lines[0]).toMatch(/^ID +ADDRESS +USERNAME +TEAM +TESTED \(UTC\) +LAST USED \(UTC\)$/)
  expect(lines[1]).toMatch(
    /^reg_\w+ +127\S+\/acme +bot +all +\d{4}-\d\d-\d\d \d\d:\d\d works +never$/,
  )
  const id = lines[1]!.split(' ')[0]!

  expect((await run(['test', id])).lines[0]).toContain('works: ')
  registry.state.password = 'the-next-one'
  await expect(run(['test', address])).rejects.toMatchObject({
    code: 'registry-login-refused',
    message: expect.stringContaining('does not accept the user name bot'),
  })
  const rotated = await run(['rotate', id, '--password-stdin'], { stdin: 'the-next-one\n' })
  expect(rotated.lines[0]).toContain('replaced the password of')
  const files = { 'pw.txt': 'later\n' }
  const untested = await run(['rotate', id, '--file', 'pw.txt', '--no-test'], { files })
  expect(untested.lines[1]).toBe(`not tested; to do it: tarmac registries test ${id}`)
  expect((await run(['remove', id])).lines[0]).toContain('removed ')
})

test('a password that is not there is a clear error, before anything is sent', async () => {
  await using both = await startBoth()
  const { registry, run } = both
  const add = ['add', registry.host, '--username', 'bot']
  await expect(run(add)).rejects.toThrow('There is no terminal to ask for the password')
  await expect(run([...add, '--password-stdin'])).rejects.toThrow('The password is empty')
  await expect(run([...add, '--password-stdin'], { typed: '' })).rejects.toThrow('is a terminal')
  await expect(run([...add, '--file', 'none'])).rejects.toThrow('none cannot be read')
  expect(registry.asked).toEqual([])
})

test('the command line says what is wrong', () => {
  expect(request('add', 'ghcr.io/acme', '--username', 'bot', '--team', 'web', '--no-test')).toEqual(
    {
      verb: 'add',
      address: 'ghcr.io/acme',
      username: 'bot',
      body: { test: false, team: 'web' },
      password: { file: null, stdin: false },
    },
  )
  expect(request()).toEqual({ verb: 'list' })
  for (const [args, words] of [
    [['add', 'ghcr.io'], '--username NAME'],
    [['add'], 'The usage is'],
    [['list', 'ghcr.io'], 'The usage is'],
    [['lst'], 'The usage is'],
    [['list', '--username', 'x'], 'is not an option of tarmac registries list'],
    [['test', 'ghcr.io', '--no-test'], 'is not an option of tarmac registries test'],
    [['rotate', 'a', '--no-test', '--image', 'x'], 'not both'],
    [['rotate', 'a', '--file', 'x', '--password-stdin'], 'not both'],
    [['add', 'ghcr.io', '--password', 'x'], "Unknown option '--password'"],
  ] as const)
    expect(() => request(...args)).toThrow(words)
})
