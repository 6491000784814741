import { type Logger, openLog } from '../../log.ts'
import { AhoCorasick } from './aho-corasick.ts'
import { RedactedStream } from './redacted-stream.ts'

/** The operator's log, without texts that look like a token. An error may quote one. */
export const redactedLog = (level: string, to?: Parameters<typeof openLog>[1]): Logger =>
  openLog(level, to, withoutTokens)

const noValues = new AhoCorasick([])

function withoutTokens(line: string): string {
  const stream = new RedactedStream(noValues)
  stream.add(line)
  return stream.redacted(line, 0)
}
