import { expect, test } from 'vitest'
import { withoutTag, type MachineConfig } from '#fly/machine.ts'
import { mergeConfig, withTag } from '../../../../gateway/src/deploy/config/merge-config.ts'
import { shellText, shellWords } from '../../../../gateway/src/go/shell-words.ts'

const merged = (builder: 'railpack' | 'dockerfile' | undefined, config: MachineConfig) =>
  mergeConfig(
    {},
    { config },
    {
      image: { reference: 'r/web@sha256:aa', digest: 'sha256:aa', tags: [], builder },
      deployment: 'd',
      number: 1,
      owner: null,
      builder: null,
    },
  )

test('a railpack image gets its command as one text, unless another entrypoint takes the words', () => {
  const cmd = ['node', '-e', "console.log('a b', process.exit(3))", '--name=x']
  const text = `node -e 'console.log('\\''a b'\\'', process.exit(3))' --name=x`
  expect(merged('railpack', { init: { cmd } }).init).toEqual({ cmd: [text] })
  expect(shellWords(text).words).toEqual(cmd)
  expect(merged('railpack', { init: { cmd: ['a && b'] } }).init).toEqual({ cmd: ['a && b'] })

  for (const init of [
    { cmd, entrypoint: ['/x'] },
    { cmd, exec: ['/x'] },
  ])
    expect(merged('railpack', { init }).init).toEqual(init)
  for (const builder of ['dockerfile', undefined] as const)
    expect(merged(builder, { init: { cmd } }).init).toEqual({ cmd })
})

test('a machine’s image has the first tag, for people, and the digest, which decides', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const image = { reference: `localhost:5000/web@${digest}`, digest }
  const named = (tags: string[]) => withTag({ ...image, tags })
  expect(named(['deployment-1', 'latest'])).toBe(`localhost:5000/web:deployment-1@${digest}`)
  expect(named([])).toBe(image.reference)
  for (const tags of [['deployment-1'], []]) expect(withoutTag(named(tags))).toBe(image.reference)
  expect(withoutTag('localhost:5000/web:v1')).toBe('localhost:5000/web:v1')
})

test('words with a meaning to a shell are passed on unchanged', () => {
  const words = ['', ' ', '$PORT', '`x`', '*', '"', "'", '\\', 'a#b', '#', '~', ';', 'a\nb', 'é']
  expect(shellWords(shellText(words))).toEqual({ words, isOpen: false })
})

test('the container that runs the app gets its image', () => {
  const containers = [
    { name: 'web', image: '.' },
    { name: 'side', image: 'redis:7' },
  ]
  expect(merged(undefined, { containers })).toMatchObject({
    image: 'r/web@sha256:aa',
    containers: [
      { name: 'web', image: 'r/web@sha256:aa' },
      { name: 'side', image: 'redis:7' },
    ],
  })
})

test('ownership metadata that an older gateway took from a source is removed', () => {
  const metadata = {
    team: 'a',
    tarmac_owner: 'alice',
    Tarmac_Number: '9',
    fly_canary: 'true',
    fly_builder_id: 'b',
    fly_process_group: 'web',
    fly_platform_version: 'v2',
  }
  expect(merged(undefined, { metadata }).metadata).toEqual({
    team: 'a',
    fly_process_group: 'web',
    fly_platform_version: 'v2',
    tarmac_deployment: 'd',
    tarmac_number: '1',
    tarmac_env: '',
  })
})
