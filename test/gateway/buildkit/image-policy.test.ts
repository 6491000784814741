import { expect, test } from 'vitest'
import { BuildPolicy } from '../../../gateway/src/buildkit/build-policy.ts'
import { ImagePolicy, type ImageRules } from '../../../gateway/src/buildkit/image-policy.ts'
import { policyAction, PolicyQuestion } from '../../../gateway/src/buildkit/messages.ts'
import { ImageAccess } from '../../../gateway/src/registry/image-access.ts'

const rules: ImageRules = {
  allowed: ['docker.io', 'ghcr.io/acme', 'quay.io/one/two'],
  frontends: ['docker.io/docker/dockerfile'],
  own: 'registry.fly.io',
  refreshMs: 60_000,
}
/** These tests are about names only. They ask no registry. */
const access = new ImageAccess({ loginFor: () => null, own: rules.own, mirrors: {}, keepMs: 0 })
const one = `sha256:${'1'.repeat(64)}`
const two = `sha256:${'2'.repeat(64)}`
const question = (identifier: string, digest?: string) =>
  PolicyQuestion.decode(
    PolicyQuestion.encode({
      about: { source: { identifier }, ...(digest && { image: { digest } }) },
    }),
  )
const buildOf = (policy: ImagePolicy, app: string, contextUrls: string[], refresh: boolean) =>
  new BuildPolicy(policy, { app, contextUrls, refresh })
const node = 'docker-image://docker.io/library/node:22'
const decisions = Object.fromEntries(
  Object.entries(policyAction).map(([name, action]) => [action, name]),
)
/** The policy's answer to a build about a source: a decision, or a lookup first. */
const verdict = (policy: ImagePolicy, identifier: string, app = 'shop') => {
  const { decision } = buildOf(
    policy,
    app,
    ['http://127.0.0.1:1/secret/context.tar'],
    false,
  ).answer(question(identifier))
  return decision ? decisions[decision.action ?? 0] : 'looked up'
}

test.each([
  'docker-image://docker.io/library/node:22',
  'docker-image://docker.io/me/mine:1',
  'docker-image://ghcr.io/acme:1',
  'docker-image://ghcr.io/acme/tools/go:1',
  'docker-image://quay.io/one/two:1',
  'docker-image://registry.fly.io/shop:deployment-1',
])('%s is allowed', (identifier) => {
  expect(verdict(new ImagePolicy(rules, access), identifier)).toBe('looked up')
  expect(verdict(new ImagePolicy(rules, access), `${identifier}@${one}`)).toBe('allow')
})

test.each([
  'docker-image://ghcr.io/acme-evil/x:1',
  'docker-image://ghcr.io/other/x:1',
  'docker-image://docker.io.evil.com/x:1',
  'docker-image://docker.io:444/x/y:1',
  'docker-image://10.0.0.5/x/y:1',
  'docker-image://127.0.0.1:5000/library/node:22',
  'docker-image://[fdaa::3]:5000/x/y:1',
  'docker-image://localhost/x:1',
  'docker-image://_api.internal:5000/shop:1',
  'docker-image://shop.internal/x/y:1',
  'docker-image://registry.fly.io/other:1',
  'docker-image://registry.fly.io/shop/more:1',
  'docker-image://registry.fly.io/shop-two:1',
  'docker-image://node',
  'docker-image+blob://docker.io/library/node@sha256:aa',
  'https://example.com/a.tar',
  'http://127.0.0.1:1/another/context.tar',
  'http://buildkit-session/x',
  'git://github.com/acme/x.git',
  'local://context',
  'oci-layout://local/x@sha256:aa',
  'blockdevice:///dev/sda',
  '',
])('%s is not allowed', (identifier) => {
  const policy = new ImagePolicy(rules, access)
  const build = buildOf(policy, 'shop', [], false)
  expect(build.answer(question(identifier)).decision?.action).toBe(policyAction.deny)
  expect(build.refused()).toMatchObject({ code: 'image-forbidden' })
  expect(build.refused()?.message).toContain(identifier.replace('docker-image://', ''))
})

test('the refusal of an image lists the allowed ones', () => {
  const build = buildOf(new ImagePolicy(rules, access), 'shop', [], false)
  build.answer(question('docker-image://localhost/x:1'))
  expect(build.refused()?.body()).toMatchObject({
    image: 'localhost/x:1',
    allowed: ['docker.io', 'ghcr.io/acme', 'quay.io/one/two', 'registry.fly.io/shop'],
    detail: expect.stringContaining('registry.fly.io/shop'),
  })
})

test('a name resolves to one digest until that expires, separately for each app', () => {
  const policy = new ImagePolicy(rules, access)
  const first = buildOf(policy, 'shop', [], false)
  expect(first.answer(question(node)).lookUp?.source?.identifier).toBe(node)
  const pinned = {
    action: policyAction.convert,
    update: { identifier: `${node}@${one}`, attrs: {} },
  }
  expect(first.answer(question(node, one)).decision).toEqual(pinned)
  expect(first.answer(question(`${node}@${one}`)).decision?.action).toBe(policyAction.allow)
  expect(first.bases()).toEqual({ 'docker.io/library/node:22': one })
  expect(first.validUntil()).toBeGreaterThan(Date.now() + 50_000)
  expect(buildOf(policy, 'shop', [], false).answer(question(node)).decision).toEqual(pinned)
  expect(verdict(policy, node, 'blog')).toBe('looked up')
  expect(verdict(new ImagePolicy({ ...rules, refreshMs: 0 }, access), node)).toBe('looked up')
})

test('a fresh build resolves its names once, and later builds use the result', () => {
  const policy = new ImagePolicy(rules, access)
  buildOf(policy, 'shop', [], false).answer(question(node, one))
  const refresh = buildOf(policy, 'shop', [], true)
  expect(refresh.answer(question(node)).lookUp).toBeDefined()

  refresh.answer(question(node, two))
  expect(refresh.answer(question(node)).decision?.action).toBe(policyAction.convert)
  expect(refresh.bases()).toEqual({ 'docker.io/library/node:22': two })
  expect(policy.pinsAreCurrent('shop', { 'docker.io/library/node:22': one })).toBe(false)
  expect(
    policy.pinsAreCurrent('shop', {
      'docker.io/library/node:22': two,
      'docker.io/library/go:1': one,
    }),
  ).toBe(true)
  refresh.forget()
  expect(verdict(policy, node)).toBe('looked up')
})

test('a digest given by the source is recorded unchanged', () => {
  const build = buildOf(new ImagePolicy(rules, access), 'shop', [], false)
  build.answer(question(`${node}@${one}`))
  expect(build.bases()).toEqual({ [`docker.io/library/node:22@${one}`]: one })
  expect(build.validUntil()).toBeNull()
})

test('only an allowed frontend reads a Dockerfile', () => {
  const policy = new ImagePolicy(rules, access)
  policy.checkFrontend('docker/dockerfile:1-labs')
  for (const image of [
    'me/mine:1',
    'docker/dockerfile-upstream:master',
    'ghcr.io/docker/dockerfile:1',
    'Not/Valid',
  ])
    expect(() => policy.checkFrontend(image)).toThrow(`names ${image}`)
})
