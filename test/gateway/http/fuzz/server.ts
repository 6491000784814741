/**
 * The real HTTP server with real sources, in its own process. Over IPC it reports its port and, on
 * request, its state.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { Sources } from '../../../../gateway/src/sources/sources.ts'
import { startHttp } from '../start-http.ts'

const dir = mkdtempSync(join(tmpdir(), 'tarmac-fuzz-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
const sources = await Sources.open({ dir })
const gone = () => Promise.reject(new Problem('image-gone', 'The image is no longer there.'))
const http = await startHttp({
  receive: (body, more) => sources.receive(body, more),
  deployExisting: gone,
  drift: { report: gone, list: gone, accept: gone },
  deleteApp: gone,
  createRollout: gone,
  rollout: gone,
  rollouts: () => Promise.resolve({ rollouts: [], next: null }),
  cancelRollout: gone,
  retry: gone,
})
const { id } = await http.create()

process.on('message', () => {
  const open: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) open[kind] = (open[kind] ?? 0) + 1
  const errors = http.logged.filter((line) => (JSON.parse(line) as { level: number }).level >= 50)
  process.send!({ open, errors })
})
process.on('disconnect', () => process.exit()) // the parent process has died
process.send!({ port: http.port, id })
