/**
 * `npm run soak -- NAME [options]`: repeats one test many times, by a seed. Exits 0 when every run
 * was right.
 */
import { soakAudit } from './soak/audit.ts'
import { soakCallers } from './soak/callers.ts'
import { soakDeploys } from './soak/deploys.ts'
import { soakHostile } from './soak/hostile.ts'
import { soakKill } from './soak/kill.ts'
import { soakPreviews } from './soak/previews.ts'
import { soakUp } from './soak/up.ts'
import { soakUploads } from './soak/uploads.ts'

const soaks: Record<string, { about: string; run: (args: string[]) => Promise<boolean> }> = {
  audit: soakAudit,
  callers: soakCallers,
  deploys: soakDeploys,
  hostile: soakHostile,
  kill: soakKill,
  previews: soakPreviews,
  up: soakUp,
  uploads: soakUploads,
}

const [name = '', ...args] = process.argv.slice(2)
const soak = soaks[name]
if (!soak) {
  for (const [known, { about }] of Object.entries(soaks))
    console.error(`npm run soak -- ${known}   ${about}`)
  process.exit(name === '' ? 0 : 2)
}
process.exit((await soak.run(args)) ? 0 : 1)
