import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { bestCompression } from '../client/src/deploy/compression.ts'
import { listSource } from '../client/src/deploy/list-source.ts'
import { packSource } from '../client/src/deploy/pack-source.ts'
import { ignoreRules } from '../client/src/ignore/ignore-rules.ts'

// Lists and packs a folder as `tarmac deploy` does, and prints what it took.

const [folder = '', archive = ''] = process.argv.slice(2)
const begunAt = performance.now()
const what = { ignoreFiles: ['.dockerignore'], included: [], noIgnore: false }
const rules = await ignoreRules(folder, what, () => {})
const { entries } = await listSource(folder, rules)
// Each file is hashed on the way, as for the first deployment of a folder.
let hashes = 0
const packing = { folder, entries, compression: bestCompression, onFile: () => void hashes++ }
await pipeline(packSource(packing), createWriteStream(archive))
const ms = performance.now() - begunAt
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
console.log(
  JSON.stringify({
    ms,
    hashes,
    cpuMs: Math.round((userCPUTime + systemCPUTime) / 1000),
    rssMb: Math.round(maxRSS / 1000),
  }),
)
