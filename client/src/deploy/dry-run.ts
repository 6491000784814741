import { inMb } from '#api/text/in-mb.ts'
import { byRule, leftOutLines } from '../ignore/left-out.ts'
import type { Printer } from '../print.ts'
import { type FolderCommand, listFolder, type OpenFolder } from './source-folder.ts'

const largestShown = 10
const namesShown = 20

/** Shows what a command would send, and sends nothing. Returns the exit code. */
export async function dryRun(
  folder: OpenFolder,
  command: FolderCommand,
  printer: Printer,
): Promise<number> {
  const { entries, leftOut } = await listFolder(folder, command, printer.note)
  const files = entries.flatMap((entry) => (entry.type === 'file' ? entry : []))
  const links = entries.filter(({ type }) => type === 'link').length
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const largest = files
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
    .slice(0, largestShown)
    .map((file) => ({ path: file.path, sizeBytes: file.sizeBytes }))

  const facts = {
    folder: folder.path,
    app: command.app ?? folder.config.app,
    files: files.length + links,
    sizeBytes,
    largest,
    leftOut: byRule(leftOut),
  }
  const lines = [
    `${folder.path}: ${inMb(sizeBytes, 1)} in ${facts.files} files, before compression`,
    ...largest.map((file) => `${inMb(file.sizeBytes, 1).padStart(12)}  ${file.path}`),
    ...leftOutLines(leftOut, namesShown),
    'nothing was sent',
  ]
  return printer.result(facts, lines)
}
