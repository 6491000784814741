import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'
import { readDockerfile } from '../../../gateway/src/buildkit/dockerfile.ts'
import { treeOf } from './tree-of.ts'

let root: string
beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'tarmac-dockerfile-'))))
afterEach(() => rm(root, { recursive: true }))

test('the patterns of an ignore file have no comments, leading slashes or byte order mark', () => {
  const text = '\ufeff/dist\r\n# note\n\n  node_modules/  \n! /dist/keep\n #odd\n/'
  expect(parseIgnoreFile(text)).toEqual(['dist', 'node_modules', '!dist/keep', '#odd', '/'])
})

test('the ignore file beside the Dockerfile takes precedence, and may exclude the Dockerfile', async () => {
  const files = {
    Dockerfile: '',
    'web[1]': 'FROM a',
    '.dockerignore': '*',
    'web[1].dockerignore': '/lib\n',
  }
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text)
  expect((await readDockerfile(treeOf(root), 'Dockerfile')).ignore).toEqual(['*'])
  expect(await readDockerfile(treeOf(root), 'web[1]')).toEqual({
    path: 'web[1]',
    content: Buffer.from('FROM a'),
    ignore: ['lib'],
    frontend: null,
  })
  // The one that fly.toml names comes first.
  expect((await readDockerfile(treeOf(root), 'web[1]', '.dockerignore')).ignore).toEqual(['*'])
  await expect(readDockerfile(treeOf(root), 'missing')).rejects.toMatchObject({
    code: 'no-builder-found',
  })
})

test.each([
  ['# syntax=docker/dockerfile:1\nFROM a', null],
  ['# check=skip=all\n#Syntax = docker.io/docker/dockerfile:1.7\nFROM a', null],
  [
    '#!/usr/bin/env docker\r\n# syntax=docker/dockerfile:1-labs x\r\nFROM a',
    'docker/dockerfile:1-labs',
  ],
  ['\ufeff# syntax=docker/dockerfile@sha256:aa\nFROM a', 'docker/dockerfile@sha256:aa'],
  ['# syntax=me/mine:1\nFROM a', 'me/mine:1'],
  ['# a note\n# syntax=me/mine:1\n', null], // to BuildKit too, directives end at the first line that is none
  ['FROM a\n# syntax=me/mine:1\n', null],
])('%j asks for the frontend %s', async (text, frontend) => {
  await writeFile(join(root, 'Dockerfile'), text)
  expect((await readDockerfile(treeOf(root), 'Dockerfile')).frontend).toBe(frontend)
})

test('an ignore file with a carriage return inside a line can be read', () => {
  expect(parseIgnoreFile('a\rb\n! c')).toEqual(['a\rb', '!c'])
})

test('a Dockerfile and its ignore file may be links inside the source', async () => {
  await mkdir(join(root, 'docker'))
  await writeFile(join(root, 'docker/prod'), 'FROM a')
  await writeFile(join(root, 'docker/ignored'), 'lib')
  await symlink('docker', join(root, 'd'))
  await symlink('./d/prod', join(root, 'Dockerfile'))
  await symlink('docker/ignored', join(root, '.dockerignore'))
  expect(await readDockerfile(treeOf(root), 'Dockerfile')).toMatchObject({
    path: 'Dockerfile',
    content: Buffer.from('FROM a'),
    ignore: ['lib'],
  })
})
