import { expect, test } from 'vitest'
import { parseReference, referenceText } from '../../../api/image/reference.ts'

const digest = `sha256:${'ab'.repeat(32)}`

test.each([
  ['nginx', 'docker.io/library/nginx:latest'],
  ['nginx:1.27', 'docker.io/library/nginx:1.27'],
  ['grafana/grafana', 'docker.io/grafana/grafana:latest'],
  ['docker.io/nginx', 'docker.io/library/nginx:latest'],
  ['index.docker.io/library/nginx:1', 'docker.io/library/nginx:1'],
  ['ghcr.io/acme/shop:v3', 'ghcr.io/acme/shop:v3'],
  ['GHCR.io/acme/shop', 'ghcr.io/acme/shop:latest'],
  ['localhost/shop', 'localhost/shop:latest'],
  ['localhost:5000/shop', 'localhost:5000/shop:latest'],
  ['registry.example.com:443/a/b/c:x', 'registry.example.com/a/b/c:x'],
  ['[2001:db8::1]:5000/shop:x', '[2001:db8::1]:5000/shop:x'],
  [`nginx@${digest}`, `docker.io/library/nginx@${digest}`],
  [`nginx:1.27@${digest}`, `docker.io/library/nginx:1.27@${digest}`],
  ['a__b/c--d.e_f', 'docker.io/a__b/c--d.e_f:latest'],
])('%s is %s', (text, full) => {
  expect(referenceText(parseReference(text))).toBe(full)
  expect(referenceText(parseReference(full))).toBe(full)
})

test.each([
  ['', 'is empty'],
  [' nginx', 'spaces'],
  ['https://ghcr.io/acme/shop', 'has no “https://”'],
  ['ghcr.io/acme/Shop', 'Write shop'],
  ['nginx:', 'its tag'],
  ['nginx:a/b:', 'its tag'],
  [`nginx:${'a'.repeat(129)}`, 'its tag'],
  ['nginx@sha256:abc', 'its digest'],
  [`nginx@sha512:${'ab'.repeat(64)}`, 'its digest'],
  [`nginx@${digest}@${digest}`, 'two digests'],
  ['ab'.repeat(32), 'it is an id'],
  ['ghcr.io//shop', 'is empty'],
  ['ghcr.io/', 'is empty'],
  ['ghcr.io/../shop', '“..” is not'],
  ['ghcr.io/a?b', '“a?b” is not'],
  ['user:pw@ghcr.io/shop', 'its digest'],
  ['-bad.example/shop', 'not the name of a registry'],
  ['a.b:999999/shop', 'not the name of a registry'],
  [`ghcr.io/${'a'.repeat(260)}`, 'longer than 255'],
  ['a'.repeat(501), 'longer than 500'],
])('%s is refused: %s', (text, why) => {
  expect(() => parseReference(text)).toThrow(
    expect.objectContaining({ code: 'option-invalid', message: expect.stringContaining(why) }),
  )
})
