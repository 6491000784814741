import { cleanPath } from '../text/clean-path.ts'

/** The patterns of an ignore file, read as Docker does. */
export function parseIgnoreFile(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  return lines.flatMap((line) => {
    const trimmed = line.trim()
    if (line.startsWith('#') || trimmed === '') return []
    const exception = trimmed.startsWith('!') ? '!' : ''
    const pattern = trimmed.slice(exception.length).trim()
    return [exception + (pattern ? cleanPath(pattern).replace(/^\/(?=.)/, '') : '')]
  })
}
