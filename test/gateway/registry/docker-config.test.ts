import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dockerLogin } from '../../../gateway/src/registry/docker-config.ts'

const path = join(mkdtempSync(join(tmpdir(), 'tarmac-docker-')), 'config.json')

test('a login is sent only to its own host, in any spelling of the host', () => {
  const auths = {
    'https://index.docker.io/v1/': { auth: btoa('me:with:colons') },
    'registry.example:5000': { username: 'you', password: 'secret' },
    'quay.io': { identitytoken: 'token' },
  }
  writeFileSync(path, JSON.stringify({ auths }))
  const me = { user: 'me', secret: 'with:colons' }
  expect(['docker.io', 'registry-1.docker.io'].map((host) => dockerLogin(path, host))).toEqual([
    me,
    me,
  ])
  expect(dockerLogin(path, 'registry.example:5000')).toEqual({ user: 'you', secret: 'secret' })
  expect(dockerLogin(path, 'quay.io')).toEqual({ user: '', secret: 'token' })
  for (const host of ['registry.example', 'registry.example:5001', 'evil.quay.io', 'ghcr.io', ''])
    expect(dockerLogin(path, host)).toBeNull()
})

test('a missing file means no login, and a damaged one is reported', () => {
  expect(dockerLogin(`${path}.none`, 'docker.io')).toBeNull()
  writeFileSync(path, '{')
  expect(() => dockerLogin(path, 'docker.io')).toThrow('is damaged')
})
