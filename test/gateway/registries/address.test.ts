import { expect, test } from 'vitest'
import {
  addressText,
  holdsRepository,
  readAddress,
  registryHost,
} from '../../../api/registries/address.ts'

test.each([
  ['ghcr.io', 'ghcr.io'],
  ['GHCR.io/velocity', 'ghcr.io/velocity'],
  ['https://ghcr.io/velocity/', 'ghcr.io/velocity'],
  ['docker.io', 'docker.io'],
  ['index.docker.io', 'docker.io'],
  ['registry-1.docker.io/acme', 'docker.io/acme'],
  ['https://index.docker.io/v1/', 'docker.io'],
  ['https://registry.acme.com/v2/', 'registry.acme.com'],
  ['registry.acme.com:443', 'registry.acme.com'],
  ['registry.acme.com:5000/a/b_c.d-e', 'registry.acme.com:5000/a/b_c.d-e'],
  ['localhost', 'localhost'],
  ['[fdaa::3]:5000', '[fdaa::3]:5000'],
])('the address %s is %s', (text, address) => {
  expect(addressText(readAddress(text))).toBe(address)
})

test.each([
  ['velocity', 'docker.io/velocity'],
  ['velocity/web', 'docker.io/velocity/web'],
  ['http://ghcr.io', 'TARMAC_PLAIN_HTTP'],
  ['ghcr.io/velocity:latest', 'leave tags and digests out'],
  ['ghcr.io/velocity@sha256:aa', 'leave tags and digests out'],
  ['ghcr.io/a//b', 'cannot be a part'],
  ['ghcr.io/Acme', 'small letters'],
  ['ghcr.io/../x', 'cannot be a part'],
  ['user@ghcr.io', 'has no registry'],
  ['ghcr.io?x', 'has no registry'],
  ['a.'.repeat(300), 'too long'],
])('the address %s is refused, with what to do', (text, advice) => {
  expect(() => readAddress(text)).toThrow(advice)
})

test('a beginning of repositories is one by whole segments', () => {
  expect(holdsRepository('velocity', 'velocity/web')).toBe(true)
  expect(holdsRepository('velocity', 'velocity')).toBe(true)
  expect(holdsRepository('velocity', 'velocity-old/web')).toBe(false)
  expect(holdsRepository('velocity/web', 'velocity')).toBe(false)
  expect(holdsRepository('', 'anything')).toBe(true)
})

test('all names of Docker Hub are one registry', () => {
  const names = [
    'docker.io',
    'index.docker.io',
    'registry-1.docker.io',
    'https://index.docker.io/v1/',
  ]
  expect(new Set(names.map(registryHost))).toEqual(new Set(['docker.io']))
})
