import { expect, test } from 'vitest'
import { imageName } from '../../../gateway/src/llb/image-name.ts'

const digest = `sha256:${'a'.repeat(64)}`

test.each([
  ['node', 'docker.io/library/node:latest'],
  ['a/b:1', 'docker.io/a/b:1'],
  ['docker.io/node', 'docker.io/library/node:latest'],
  ['index.docker.io/library/z', 'docker.io/library/z:latest'],
  ['localhost', 'docker.io/library/localhost:latest'],
  ['localhost/x', 'localhost/x:latest'],
  ['localhost:5000/x', 'localhost:5000/x:latest'],
  ['Host/x', 'Host/x:latest'],
  ['[::1]:5000/x', '[::1]:5000/x:latest'],
  ['foo_bar.x/y', 'foo_bar.x/y:latest'],
  [`ghcr.io/a/b@${digest}`, `ghcr.io/a/b@${digest}`],
  [`x:1@${digest}`, `docker.io/library/x:1@${digest}`],
])('%s is %s', (text, full) => {
  expect(imageName(text)).toBe(full)
  expect(imageName(full)).toBe(full)
})

test.each([
  '',
  'UP',
  'a b',
  'a/B',
  'x@sha256:zz',
  'x:',
  'x:-1',
  `x:${'1'.repeat(129)}`,
  'a___b',
  'a//b',
  'a'.repeat(64).replaceAll('a', '0'),
  `a/${'b'.repeat(256)}`,
])('%j is not an image name', (text) => expect(imageName(text)).toBeNull())
