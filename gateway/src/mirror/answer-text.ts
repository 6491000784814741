import type { IncomingMessage } from 'node:http'

const maxBytes = 2048
const maxLetters = 200
const readMs = 1000

/** What an answer says, as one short line. Empty if it says nothing, or says it too slowly. */
export async function readStart(answer: IncomingMessage): Promise<string> {
  const timer = setTimeout(() => answer.destroy(), readMs)
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > maxBytes) break
    }
  } catch {
    // The beginning is enough.
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(chunks).toString().replaceAll(/\s+/g, ' ').trim().slice(0, maxLetters)
}
