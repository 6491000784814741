import { describe, expect, test } from 'vitest'
import { sortEntries } from '../../../api/tree.ts'
import { chooseBuilder } from '../../../gateway/src/railpack/choose-builder.ts'
import type { SourceTree } from '../../../gateway/src/deployments/source-tree.ts'

const tree = (...paths: string[]): SourceTree => ({
  root: '/nowhere',
  digest: '',
  files: paths.length,
  sizeBytes: 0,
  entries: sortEntries(
    paths.map((path) => ({ type: 'file', path, mode: 0o644, sizeBytes: 0, sha256: '' })),
  ),
})
const nothing = { plan: null, dockerfile: null, build: {} }
const config = (path: string) => ({ ...nothing, build: { RAILPACK_CONFIG_FILE: path } })

describe('the builder of a source', () => {
  test('is the one that the sender requests, whatever else the source holds', () => {
    const all = tree('Dockerfile', 'railpack.json', 'deploy/Dockerfile', 'plan.json')
    expect(
      chooseBuilder(all, { ...nothing, plan: './plan.json' }, { dockerfile: 'Dockerfile' }),
    ).toEqual({
      builder: 'railpack',
      reason: 'asked for by plan=plan.json',
      plan: 'plan.json',
    })
    expect(chooseBuilder(all, { ...nothing, dockerfile: 'deploy//Dockerfile' })).toMatchObject({
      builder: 'dockerfile',
      dockerfile: 'deploy/Dockerfile',
    })
    expect(chooseBuilder(all, config('plan.json'), { dockerfile: 'Dockerfile' })).toMatchObject({
      builder: 'railpack',
      reason: 'asked for by build.RAILPACK_CONFIG_FILE=plan.json',
    })
  })

  test.each([
    [
      ['railpack.json', 'Dockerfile'],
      { dockerfile: 'Dockerfile' },
      'dockerfile',
      '[build] in fly.toml names Dockerfile',
    ],
    [['railpack.json', 'Dockerfile'], undefined, 'railpack', 'railpack.json at the root'],
    [['Dockerfile', 'package.json'], {}, 'dockerfile', 'Dockerfile at the root'],
    [['package.json', 'sub/Dockerfile'], undefined, 'railpack', 'no Dockerfile at the root'],
  ])('for %j with fly.toml %j is %s: %s', (paths, flyBuild, builder, reason) => {
    expect(chooseBuilder(tree(...paths), nothing, flyBuild)).toMatchObject({ builder, reason })
  })

  test.each([
    [
      { ...nothing, plan: 'plan.json', dockerfile: 'Dockerfile' },
      undefined,
      'option-invalid',
      'Leave one of them out',
    ],
    [{ ...nothing, plan: '../plan.json' }, undefined, 'option-invalid', 'outside of the source'],
    [{ ...nothing, plan: '/etc/passwd' }, undefined, 'option-invalid', 'outside of the source'],
    [{ ...nothing, plan: 'a/../../x' }, undefined, 'option-invalid', 'outside of the source'],
    [
      { ...nothing, dockerfile: 'Dockerfile.prod' },
      undefined,
      'option-invalid',
      'has no such file',
    ],
    [config('../other.json'), undefined, 'option-invalid', 'outside of the source'],
    [config('other.json'), undefined, 'option-invalid', 'has no such file'],
    [
      nothing,
      { image: 'r/shop:1', dockerfile: 'Dockerfile' },
      'fly-config-invalid',
      '{"source": {"image"',
    ],
    [nothing, { dockerfile: 'gone/Dockerfile' }, 'fly-config-invalid', 'has no such file'],
  ])('cannot be %j with fly.toml %j: %s', (options, flyBuild, code, words) => {
    const choose = () => chooseBuilder(tree('Dockerfile', 'plan.json'), options, flyBuild)
    expect(choose).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(words) }),
    )
  })
})
