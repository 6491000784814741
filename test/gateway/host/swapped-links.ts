import { renameSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'

// A thread that swaps a folder and a file of a tree for links out of the tree, and back, without end.

const { root, outside } = workerData as { root: string; outside: string }

/** Swaps the entry for a link, then puts it back. */
function swap(name: string, target: string): void {
  const place = join(root, name)
  const aside = join(outside, `aside-${name}`)
  renameSync(place, aside)
  symlinkSync(target, place)
  for (let i = 0; i < 200; i++); // other threads may look at the link
  unlinkSync(place)
  renameSync(aside, place)
}

for (let rounds = 0; ; rounds++) {
  swap('d', join(outside, 'd'))
  swap('file', join(outside, 'file'))
  if (rounds === 0) parentPort!.postMessage('swapping', [])
}
