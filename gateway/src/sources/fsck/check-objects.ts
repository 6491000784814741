import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn, unlessGone } from '../unless-gone.ts'
import { hashFile } from './hash-file.ts'

/** The files of the store by name, and whether the content of each is what its name says. */
export type StoredFiles = Map<string, { path: string; bytes: number; isWhole: boolean }>

/** Reads every file of the store. */
export function checkObjects(volume: string): StoredFiles {
  const found: StoredFiles = new Map()
  const objects = join(volume, 'objects')
  for (const part of namesIn(objects))
    for (const name of namesIn(join(objects, part)).filter((each) => isObjectName(each))) {
      const path = join(objects, part, name)
      const stored = unlessGone(() => ({
        path,
        bytes: lstatSync(path).size,
        isWhole: hashFile(path) === name.slice(0, 64),
      }))
      if (stored) found.set(name, stored)
    }
  return found
}

const isObjectName = (name: string) => /^[0-9a-f]{64}(?:-x)?$/.test(name)
