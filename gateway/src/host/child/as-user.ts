import { findTool } from './find-tool.ts'

const setpriv = findTool('setpriv')

/**
 * The command prefix that stops a program from gaining rights. With `uid`, the program also runs as
 * that user.
 */
export function asUser(uid?: number): string[] {
  if (!setpriv) {
    if (uid === undefined) return []
    throw new Error('A child of another user needs setpriv (of util-linux).')
  }
  const rights = [
    `--reuid=${uid}`,
    `--regid=${uid}`,
    '--clear-groups',
    '--inh-caps=-all',
    '--bounding-set=-all',
  ]
  return [setpriv, '--no-new-privs', ...(uid === undefined ? [] : rights), '--']
}
