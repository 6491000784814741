import { lstatSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Incoming } from '../trees/incoming.ts'
import { namesIn } from '../unless-gone.ts'
import type { Volume } from './volume.ts'

/** Checks what waits for a tree to come. What is damaged is removed: it is sent again. */
export function checkIncoming(volume: Volume): void {
  const incoming = new Incoming(volume.dir)
  const apps = namesIn(join(volume.dir, 'incoming'))
  for (const [name, path] of apps.flatMap((app) => [...incoming.of(app)])) {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (!stat) continue
    if (!volume.has(path, stat.ino, name.slice(0, 64)))
      volume.found(path, 'its content is another than its name says', () => {
        rmSync(path)
        return true
      })
    else if (volume.repair) volume.objects.add(name, path)
  }
}
