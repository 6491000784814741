import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { Problem } from '#api/problem.ts'

/** Reads a file that a stranger may have put there: follows no link, waits for no pipe, takes nothing big. */
export async function readSmall(path: string, maxBytes: number, name: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const { size } = await file.stat()
  if (size > maxBytes) throw new Problem('plan-limit', `${name} has ${size} bytes; at most ${maxBytes} are read.`)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0)
  return buffer.toString('utf8', 0, bytesRead)
}
