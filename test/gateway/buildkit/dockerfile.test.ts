import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseIgnoreFile, readDockerfile } from '../../../gateway/src/buildkit/dockerfile.ts'
import { treeOf } from './tree-of.ts'

let root: string
beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'tarmac-dockerfile-'))))
afterEach(() => rm(root, { recursive: true }))

test('an ignore file gives its patterns without comments, leading slashes and byte order mark', () => {
  const text = '\ufeff/dist\r\n# note\n\n  node_modules/  \n! /dist/keep\n #odd\n/'
  expect(parseIgnoreFile(text)).toEqual(['dist', 'node_modules', '!dist/keep', '#odd', '/'])
})

test('the ignore file beside the Dockerfile goes first, and never takes the Dockerfile away', async () => {
  const files = { Dockerfile: '', 'web[1]': '', '.dockerignore': '*', 'web[1].dockerignore': '/lib\n' }
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text)
  expect((await readDockerfile(treeOf(root), 'Dockerfile')).ignore).toEqual(['*', '!Dockerfile'])
  expect((await readDockerfile(treeOf(root), 'web[1]')).ignore).toEqual(['lib', '!web\\[1\\]'])
  await expect(readDockerfile(treeOf(root), 'missing')).rejects.toMatchObject({ code: 'plan-none' })
})

test.each([
  ['# syntax=docker/dockerfile:1\nFROM a', true],
  ['# check=skip=all\n#Syntax = docker.io/docker/dockerfile:1.7\nFROM a', true],
  ['# syntax=docker/dockerfile:1-labs\nFROM a', false],
  ['# syntax=docker/dockerfile@sha256:aa\nFROM a', false],
  ['# syntax=me/mine:1\nFROM a', false],
  ['FROM a\n# syntax=docker/dockerfile:1\n', false],
])('%j asks for the usual syntax: %s', async (text, usualSyntax) => {
  await writeFile(join(root, 'Dockerfile'), text)
  expect((await readDockerfile(treeOf(root), 'Dockerfile')).usualSyntax).toBe(usualSyntax)
})
