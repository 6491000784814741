import { execFile } from 'node:child_process'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path/posix'
import { promisify } from 'node:util'
import { errorCode, errorMessage } from '#api/error-code.ts'

const run = promisify(execFile)
const gitMs = 30_000
const maxListBytes = 512 * 2 ** 20

/** Runs git in a folder, without a program that the repository's own settings name. */
const git = (folder: string, ...args: string[]) =>
  run('git', ['-C', folder, '-c', 'core.fsmonitor=false', ...args], {
    timeout: gitMs,
    maxBuffer: maxListBytes,
  })

/** The files inside a folder that git tracks, also in submodules. None if git cannot say. */
export async function trackedFiles(
  folder: string,
  note: (text: string) => void,
): Promise<string[]> {
  try {
    const { stdout } = await git(folder, 'ls-files', '-z', '--cached', '--recurse-submodules')
    return stdout.split('\0').filter(Boolean)
  } catch (error) {
    note(
      `warning: git does not say which files it tracks (${reasonOf(error)}), so files that an ignore file names are left out even if git tracks them; --include PATH sends one`,
    )
    return []
  }
}

/**
 * Git's other ignore files for a repository: its own, and that of this user by `core.excludesFile`
 * or git's default. A worktree or a submodule has its own one elsewhere. Without git: the usual ones.
 */
export async function otherIgnoreFiles(root: string): Promise<string[]> {
  const answerTo = (...args: string[]) =>
    git(root, ...args).then(
      ({ stdout }) => stdout.trim(),
      () => '',
    )
  const [own, ofUser] = await Promise.all([
    answerTo('rev-parse', '--git-path', 'info/exclude'),
    answerTo('config', '--path', '--get', 'core.excludesFile'),
  ])
  const config = process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config')
  return [own || '.git/info/exclude', ofUser || join(config, 'git/ignore')].map((file) =>
    resolve(root, file),
  )
}

/** The first line of what git said, without its "fatal:". */
function reasonOf(error: unknown): string {
  if (errorCode(error) === 'ENOENT') return 'there is no git here'
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
  const [first = ''] = (stderr.trim() || errorMessage(error)).split('\n')
  return first.replace(/^fatal: /, '')
}
