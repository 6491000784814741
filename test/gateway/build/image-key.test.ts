import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import { imageInputs } from '../../../gateway/src/build/image-key.ts'

const facts = {
  builder: 'railpack',
  reason: '',
  planner: 'railpack 1',
  provider: null,
  versions: {},
  startCommand: null,
} as const
const plans = {
  railpack: { builder: 'railpack', planText: '{}', facts },
  dockerfile: { builder: 'dockerfile', dockerfile: 'Dockerfile', facts },
} as const
type Given = {
  app?: string
  digest?: string
  builder?: keyof typeof plans
  options?: Partial<DeploymentOptions>
  secrets?: Record<string, string>
  flyBuild?: { args: Record<string, string>; target?: string }
  gatewayKey?: string
}
const inputs = ({ app = 'shop', digest = 'sha256:aa', builder = 'dockerfile', ...given }: Given) =>
  imageInputs(
    {
      deployment: { app, options: DeploymentOptions.parse(given.options ?? {}) } as never,
      tree: { digest } as never,
      secrets: new Map(
        Object.entries(given.secrets ?? {}).map(([name, value]) => [name, Buffer.from(value)]),
      ),
      plan: plans[builder],
      flyBuild: given.flyBuild ?? { args: {} },
    },
    Buffer.from(given.gatewayKey ?? 'key'),
  )

test.each<[string, Given]>([
  ['the app', { app: 'blog' }],
  ['the source', { digest: 'sha256:bb' }],
  ['the builder', { builder: 'railpack' }],
  ['a secret', { secrets: { A: '1' } }],
  ['a build variable', { options: { build: { A: '1' } } }],
  ['the stage', { options: { target: 'test' } }],
  ['the stage in fly.toml', { flyBuild: { args: {}, target: 'test' } }],
  ['a build argument in fly.toml', { flyBuild: { args: { A: '1' } } }],
  ['the platforms', { options: { platform: 'linux/amd64,linux/arm64' } }],
  ['the commit', { options: { commit: 'abc1234' } }],
  ['the gateway', { gatewayKey: 'other' }],
])('the key of an image changes with %s', (_, given) => {
  expect(inputs(given).key).not.toBe(inputs({}).key)
})

test('the key does not depend on the order of build arguments, nor on options of the deploy', () => {
  const one = inputs({ flyBuild: { args: { A: '1', B: '2' } } })
  const other = inputs({ flyBuild: { args: { B: '2', A: '1' } }, options: { env: { C: '3' } } })
  expect(other.key).toBe(one.key)
})

test('a secret wins over a build variable of the same name, and an option over fly.toml', () => {
  const { values, target, buildArgs } = inputs({
    options: { build: { A: 'variable' }, target: 'option' },
    secrets: { A: 'secret' },
    flyBuild: { args: { A: 'file', B: 'file' }, target: 'file' },
  })
  expect(String(values.get('A'))).toBe('secret')
  expect(target).toBe('option')
  expect(buildArgs).toEqual({ A: 'variable', B: 'file' })
})

test('the key of an equal image stays the same, so that a new gateway builds nothing again', () => {
  const keyOf = (builder: keyof typeof plans) =>
    imageInputs(
      {
        deployment: {
          app: 'shop',
          options: {
            ...DeploymentOptions.parse({}),
            build: { Z: '1', A: '2', é: '3' },
            platform: 'linux/amd64',
          },
        } as never,
        tree: { digest: 'd' } as never,
        secrets: new Map([['S', Buffer.from('v')]]),
        plan: plans[builder],
        flyBuild: { args: { Q: '1' }, target: 't' },
      },
      Buffer.alloc(32, 3),
    ).key
  expect(keyOf('railpack')).toBe('076abefe1834c4656cec390ae1ab68055f541088aa888733e717c6768c50f6e2')
  expect(keyOf('dockerfile')).toBe(
    '59528b2aecce4ed6c96ccafe0f1b6d97cbda71ffff7eed844d9004dae7a73d18',
  )
})
