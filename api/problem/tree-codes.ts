import { row } from './row.ts'

/** Problems of trees that are sent by manifest. */
export const treeProblems = {
  'tree-not-found': row(404, 'source', false, 'The app has sent no such tree'),
  'base-unknown': row(409, 'source', true, 'The tree that the manifest builds on is not kept'),
  'tree-invalid': row(422, 'source', false, 'The manifest contradicts itself'),
  'pack-invalid': row(422, 'source', false, 'A file of the pack is not what its name says'),
} as const
