import { join } from 'node:path/posix'
import { readIfThere } from './read-if-there.ts'
import { dockerRules } from './docker-rules.ts'
import { type FolderRules, noRules, withIncluded } from './folder-rules.ts'
import { gitRules } from './git-rules.ts'

export type WhatToSend = {
  /** Ignore files in Docker's format. The first that exists decides alone. */
  ignoreFiles: string[]
  /** Paths that are sent whatever the rules say. */
  included: string[]
  /** Send everything. */
  noIgnore: boolean
}

/** The rules of a source: of its Docker ignore file alone, or without one git's. */
export async function ignoreRules(
  folder: string,
  { ignoreFiles, included, noIgnore }: WhatToSend,
  note: (text: string) => void,
): Promise<FolderRules> {
  if (noIgnore) return noRules
  for (const file of ignoreFiles) {
    const text = await readIfThere(join(folder, file))
    if (text !== null) return withIncluded(dockerRules(file, text), included)
  }
  return withIncluded(await gitRules(folder, note), included)
}
