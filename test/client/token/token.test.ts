import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startHttp, token as operatorToken } from '../../gateway/http/start-http.ts'

const main = join(import.meta.dirname, '../../../client/src/main.ts')

/** Runs `tarmac token`, and returns what it prints. */
const tarmac = (gateway: string, token: string, ...args: string[]) =>
  new Promise<{ code: number; out: string; notes: string }>((resolve) => {
    const env = { ...process.env, TARMAC_GATEWAY: gateway, TARMAC_TOKEN: token }
    execFile(process.execPath, [main, 'token', ...args], { env }, (error, out, notes) =>
      resolve({ code: Number(error?.code ?? 0), out, notes }),
    )
  })

test(
  'a token is made, used to see that it may not do more, rotated and revoked',
  { timeout: 60_000 },
  async () => {
    await using http = await startHttp()
    const run = (...args: string[]) => tarmac(http.url, operatorToken, ...args)

    const made = await run('create', 'ci', '--app', 'shop', '--expires', '2027-01-31')
    expect(made.out).toMatch(/^tmc_\w{61}\n$/)
    expect(made.notes).toMatch(
      /^tarmac: ci \(\w{12}\) has the scope deploy for shop, until 2027-01-31 00:00\. It is shown only now/,
    )
    const ci = made.out.trim()
    const refused = await tarmac(http.url, ci, 'list')
    expect([refused.code, refused.notes]).toEqual([
      3,
      'tarmac: This needs the scope admin; token:ci has deploy.\n',
    ])

    const rotated = await run('rotate', 'ci', '--json')
    const result = JSON.parse(rotated.out.trim().split('\n').at(-1)!) as {
      token: string
      name: string
    }
    expect(result).toMatchObject({ type: 'result', exitCode: 0, name: 'ci', oldSecretUntil: null })
    expect((await tarmac(http.url, ci, 'list')).notes).toMatch(
      /^tarmac: The token ci got a new secret/,
    )

    const listed = await run('list')
    expect(listed.out).toMatch(/^NAME {2}ID .*\nci {4}\w{12} {2}active {2}deploy {2}shop /)
    const revoked = await run('revoke', result.token)
    expect([revoked.code, revoked.out]).toEqual([
      0,
      expect.stringMatching(/^revoked ci \(\w{12}\)\n$/),
    ])
    expect((await run('list')).out).toBe('no tokens; to make one: tarmac token create NAME\n')
    expect(await run('revoke', 'none')).toMatchObject({ code: 1 })
  },
)

test('a deploy link comes with the curl command that uses it', { timeout: 60_000 }, async () => {
  await using http = await startHttp()
  const { out, notes } = await tarmac(
    http.url,
    operatorToken,
    'create',
    '--deploy-link',
    '--app',
    'shop',
  )
  expect(out).toMatch(/^tmc_\w{61}\n$/)
  expect(notes).toContain('tarmac: for one deployment of shop, until ')
  expect(notes).toContain(`curl -sSNT - -H "Authorization: Bearer $T" ${http.url}/deploy/shop\n`)
  expect(notes).not.toContain('tmc_')
})
