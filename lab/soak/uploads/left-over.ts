import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

const hourMs = 3_600_000
const ageHours = 26
const untilMs = 60_000
/** What holds uploads and sources on the volume. No file must be left in any. */
const folders = ['spool', 'uploads', 'trees', 'incoming', 'objects']

/** Makes what is on the volume of a gateway that does not run a day older. */
export async function ageByADay(data: string): Promise<void> {
  const thenMs = Date.now() - ageHours * hourMs
  await ageUploads(data, thenMs)
  await agePacks(data)
  using records = new DatabaseSync(join(data, 'tarmac.db'))
  records.prepare('UPDATE sent_trees SET at = ?').run(new Date(thenMs).toISOString())
}

/** The record of an upload's offset says when its last byte came. */
async function ageUploads(data: string, thenMs: number): Promise<void> {
  for (const id of await namesIn(join(data, 'uploads'))) {
    const file = join(data, 'uploads', id, 'offset')
    const [offset] = (await readFile(file, 'utf8').catch(() => '')).split(' ')
    if (offset) await writeFile(file, `${offset} ${String(thenMs).padStart(16, '0')}\n`)
  }
}

/** The files of packs are in a folder for each hour. */
async function agePacks(data: string): Promise<void> {
  for (const app of await namesIn(join(data, 'incoming')))
    for (const hour of await namesIn(join(data, 'incoming', app))) {
      const from = join(data, 'incoming', app, hour)
      await rename(from, join(data, 'incoming', app, String(Number(hour) - ageHours)))
    }
}

/** What is on the volume once a gateway has swept it. */
export async function leftOver(data: string): Promise<string[]> {
  const deadline = performance.now() + untilMs
  for (;;) {
    const left = (await Promise.all(folders.map((folder) => filesIn(data, folder)))).flat()
    if (left.length === 0 || performance.now() > deadline) return left
    await sleep(200)
  }
}

async function filesIn(data: string, folder: string): Promise<string[]> {
  const names = await readdir(join(data, folder), { recursive: true }).catch(() => [])
  const files: string[] = []
  for (const name of names) {
    const found = await stat(join(data, folder, name)).catch(() => null)
    if (found?.isFile()) files.push(`${folder}/${name}`)
  }
  return files
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => [])
