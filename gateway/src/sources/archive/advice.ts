import { shownName } from './source-path.ts'
import type { Header } from './tar-header.ts'

/** The program that made an archive, as far as its headers show. */
export type Tool = 'GNU tar' | 'bsdtar'

/**
 * Guesses the program from one header. GNU tar has a format of its own, and keeps its pax headers
 * in `PaxHeaders`. bsdtar (macOS and Windows have it as `tar`) keeps them in `PaxHeader`.
 */
export function toolOf({ type, format, block }: Header): Tool | null {
  if (format === 'gnu') return 'GNU tar'
  const name = block.toString('latin1', 0, 100)
  const folder = type === 'x' && /(?:^|\/)PaxHeader(s?)(?:\.\d+)?\//.exec(name)
  if (!folder) return null
  return folder[1] ? 'GNU tar' : 'bsdtar'
}

/** The flag for the program that made the archive, or both flags with their programs. */
export function flagOf(tool: Tool | null, flags: { gnu: string; bsd: string }): string {
  if (tool === 'GNU tar') return flags.gnu
  if (tool === 'bsdtar') return flags.bsd
  return `${flags.gnu} (GNU tar) or ${flags.bsd} (bsdtar)`
}

/** How to leave one entry out. The same words for every program, as a shell reads them. */
export function leaveOut(name: Buffer): string {
  const shown = shownName(name)
  const word = /^[\w./@%+,:=-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
  return `Leave it out: tar cz --exclude=${word} … , or name it in .dockerignore.`
}

export const withoutXattrs = { gnu: '--no-xattrs', bsd: '--no-xattrs --no-mac-metadata' }
export const withoutSparse = { gnu: 'no --sparse (-S)', bsd: '--no-read-sparse' }
