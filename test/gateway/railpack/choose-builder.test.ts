import { describe, expect, test } from 'vitest'
import { sortEntries } from '../../../api/tree.ts'
import { chooseBuilder } from '../../../gateway/src/railpack/choose-builder.ts'
import { surveyEntries } from '../../../gateway/src/buildkit/context/make-view.ts'
import { unusedDockerfile } from '../../../gateway/src/railpack/unused-dockerfile.ts'
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

const linked = (tree: SourceTree, path: string, target: string): SourceTree => ({
  ...tree,
  entries: sortEntries([...tree.entries, { type: 'link', path, target }]),
})

describe('the builder of a source', () => {
  test('may be named by a link inside the source', () => {
    const prod = linked(tree('Dockerfile.prod', 'package.json'), 'Dockerfile', './Dockerfile.prod')
    const root = {
      builder: 'dockerfile',
      reason: 'Dockerfile at the root',
      dockerfile: 'Dockerfile',
    }
    expect(chooseBuilder(prod, nothing)).toEqual(root)
    expect(chooseBuilder(prod, { ...nothing, dockerfile: 'Dockerfile' })).toMatchObject({
      dockerfile: 'Dockerfile',
    })
    const outside = linked(tree('package.json'), 'Dockerfile', '../Dockerfile')
    expect(chooseBuilder(outside, nothing)).toMatchObject({ builder: 'railpack' })
    expect(() => chooseBuilder(outside, { ...nothing, dockerfile: 'Dockerfile' })).toThrow(
      'It is a link to ../Dockerfile, which is no file of the source: send that file too.',
    )
  })

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
    [['dockerfile', 'package.json'], {}, 'dockerfile', 'dockerfile at the root'],
    [
      ['web/dockerfile'],
      { dockerfile: 'web/Dockerfile' },
      'dockerfile',
      '[build] in fly.toml names web/dockerfile',
    ],
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
      { image: 'https://r/shop:1', dockerfile: 'Dockerfile' },
      'fly-config-invalid',
      '[build] image in fly.toml: “https://r/shop:1” is not a reference',
    ],
    [nothing, { dockerfile: 'gone/Dockerfile' }, 'fly-config-invalid', 'has no such file'],
    [nothing, { ignorefile: 'gone.ignore' }, 'fly-config-invalid', 'has no such file'],
    [
      { ...nothing, plan: 'plan.json' },
      { ignorefile: 'Dockerfile' },
      'fly-config-invalid',
      'railpack builds this source',
    ],
  ])('cannot be %j with fly.toml %j: %s', (options, flyBuild, code, words) => {
    const choose = () => chooseBuilder(tree('Dockerfile', 'plan.json'), options, flyBuild)
    expect(choose).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(words) }),
    )
  })
})

describe('a Dockerfile that is not used', () => {
  const said = async (source: SourceTree) => {
    const rules = { ignore: [], always: [] }
    const { dockerfiles } = await surveyEntries('/nowhere', source.entries, rules)
    return unusedDockerfile(source, dockerfiles, 'railpack.json at the root')
  }

  test('is named, with the reason and the option that uses it', async () => {
    const paths = [
      'a/b/Dockerfile',
      'a/web.Dockerfile',
      'docker/Dockerfile.prod',
      'x/Containerfile',
    ]
    expect(await said(tree(...paths))).toEqual({
      type: 'note',
      text: 'Not used: a/b/Dockerfile, a/web.Dockerfile, docker/Dockerfile.prod and 1 more. railpack plans the build: railpack.json at the root. To build by a Dockerfile, deploy with --dockerfile a/web.Dockerfile (dockerfile=a/web.Dockerfile in a request).',
    })
    const others = ['Dockerfile.dockerignore', 'dockerfile-maker.js', 'node_modules/a/Dockerfile']
    expect(await said(tree(...others))).toBeNull()
  })

  test('because it is a link to nothing is a warning', async () => {
    expect(await said(linked(tree('a'), 'Dockerfile', '/etc/Dockerfile'))).toEqual({
      type: 'warning',
      text: expect.stringMatching(/^Dockerfile is a link to \/etc\/Dockerfile, which is no file/),
    })
  })
})
