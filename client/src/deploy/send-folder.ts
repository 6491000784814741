import { CacheFolder } from '../sending/cache-folder.ts'
import { type Door, SourceSender } from '../sending/send-source.ts'
import type { Gateway } from '../gateway.ts'
import { leftOutLines } from '../ignore/left-out.ts'
import type { Printer } from '../print.ts'
import { type GitFacts, sourceFacts } from './git-facts.ts'
import type { LeftOut } from './list-source.ts'
import { type FolderCommand, listFolder, type OpenFolder } from './source-folder.ts'

type Calling = { gateway: Gateway; printer: Printer; signal: AbortSignal }
type FolderToSend = {
  facts: Partial<GitFacts>
  leftOut: LeftOut[]
  sender: <T>(door: Door<T>) => SourceSender<T>
  done: () => void
}

/** Lists a folder, prints what a user should know about it, and returns how to send it. */
export async function folderToSend(
  folder: OpenFolder,
  command: FolderCommand,
  { gateway, printer, signal }: Calling,
): Promise<FolderToSend> {
  const list = (note: (text: string) => void) => listFolder(folder, command, note)
  const [listed, { facts, note }] = await Promise.all([
    list(printer.note),
    sourceFacts(folder.path, process.env),
  ])
  for (const line of leftOutLines(listed.leftOut)) printer.note(line)
  if (note !== null) printer.note(note)

  const progress = printer.sending()
  let isFirst = true
  const source = {
    folder: folder.path,
    compression: command.compression,
    cache: new CacheFolder(process.env),
    async list() {
      const { entries, listedMs } = isFirst ? listed : await list(() => {})
      isFirst = false
      return { entries, listedMs }
    },
  }
  return {
    facts,
    leftOut: listed.leftOut,
    sender: (door) => new SourceSender(door, source, { gateway, progress, signal }),
    done: () => progress.done(),
  }
}
