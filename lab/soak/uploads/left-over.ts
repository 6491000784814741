import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const dayMs = 25 * 3_600_000
const untilMs = 60_000
/** What holds uploads and sources on the volume. Of each nothing must be left. */
const folders = ['spool', 'uploads', 'trees']

/** Makes what is on the volume of a gateway that does not run a day older. */
export async function ageByADay(data: string): Promise<void> {
  for (const id of await namesIn(join(data, 'uploads'))) {
    const file = join(data, 'uploads', id, 'offset')
    const text = await readFile(file, 'utf8').catch(() => null)
    const [, offset, at] = /^(\d{16}) (\d{16})\n$/.exec(text ?? '') ?? []
    if (at) await writeFile(file, `${offset} ${String(Number(at) - dayMs).padStart(16, '0')}\n`)
  }
}

/** What is on the volume once a gateway has swept it. */
export async function leftOver(data: string): Promise<string[]> {
  const deadline = performance.now() + untilMs
  for (;;) {
    const left = (
      await Promise.all(
        folders.map(async (folder) =>
          (await namesIn(join(data, folder))).map((name) => `${folder}/${name}`),
        ),
      )
    ).flat()
    if (left.length === 0 || performance.now() > deadline) return left
    await sleep(200)
  }
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => [])
