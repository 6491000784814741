import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { errorMessage } from '#api/error-code.ts'
import { flyctlVersion, recordFlyToml } from './flyctl.ts'
import { recordPins } from './pins.ts'
import { examplesIn, hasBuildctl, railpackVersion, recordExample } from './railpack.ts'

const root = join(import.meta.dirname, '../..')
const usage = `npm run conformance -- record [DIR] [--examples DIR] [--only PART] [--mirror HOST=ADDRESS]
  DIR          a folder of recorded cases, with flytoml/ and railpack/ in it: they are recorded again
  --examples   the folder examples/ of a checkout of railpack; without it railpack is not recorded
  --only       pins, flyctl or railpack
  --mirror     ask this registry instead of HOST, as docker.io=127.0.0.1:5000; may be repeated`

type Part = (say: (text: string) => void) => Promise<string[]>

/**
 * Records again what real programs say: digests of images, flyctl's machine configs, and railpack's
 * plans. Says what is missing, and records the rest. Returns the exit code: 1 if anything is missing.
 */
export async function record(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      examples: { type: 'string' },
      only: { type: 'string' },
      mirror: { type: 'string', multiple: true, default: [] },
    },
  })
  const [dir = null, ...more] = positionals
  const parts: Record<string, Part> = {
    pins: (say) => pins(values.mirror, say),
    flyctl: (say) => flyctl(dir, say),
    railpack: (say) => railpack(dir, values.examples ?? null, say),
  }
  if (more.length > 0 || (values.only !== undefined && !(values.only in parts))) {
    console.error(usage)
    return 2
  }

  const missing: string[] = []
  for (const [name, part] of Object.entries(parts)) {
    if (values.only !== undefined && values.only !== name) continue
    const say = (text: string) => console.log(`${name.padEnd(9)} ${text}`)
    for (const text of await part(say)) {
      say(`MISSING: ${text}`)
      missing.push(text)
    }
  }
  console.log(missing.length === 0 ? 'recorded' : `recorded, but for ${missing.length} missing`)
  return missing.length === 0 ? 0 : 1
}

async function pins(mirrors: string[], say: (text: string) => void): Promise<string[]> {
  const hosts = Object.fromEntries(mirrors.map((pair) => pair.split('=') as [string, string]))
  const { lines, missing } = await recordPins(root, hosts)
  for (const line of lines) say(line)
  return missing
}

const FlyCase = z.object({ name: z.string().optional(), toml: z.string() })

async function flyctl(dir: string | null, say: (text: string) => void): Promise<string[]> {
  const version = await flyctlVersion()
  if (version === null)
    return [
      'flyctl is not on PATH. Install it (https://fly.io/docs/flyctl/install), then run this again.',
    ]
  if (dir === null) return ['name the folder of recorded cases, whose flytoml/ is recorded again.']
  const folder = join(dir, 'flytoml')
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith('.json'))
    : []
  if (files.length === 0) return [`${folder} holds no cases (*.json).`]

  let changed = 0
  for (const file of files) {
    const path = join(folder, file)
    const before = readFileSync(path, 'utf8')
    const { name, toml } = FlyCase.parse(JSON.parse(before))
    const recorded = await recordFlyToml(toml, version)
    const { flyctl: _version, ...facts } = recorded
    if (!holds(JSON.parse(before), JSON.parse(JSON.stringify(facts)))) {
      changed += 1
      say(`${file}: changed`)
    }
    writeFileSync(path, `${JSON.stringify({ ...(name && { name }), ...recorded }, null, 1)}\n`)
  }
  say(
    `${version}: ${files.length} cases, ${changed} changed. Compare: npm run conformance -- ${folder}`,
  )
  return []
}

async function railpack(
  dir: string | null,
  examples: string | null,
  say: (text: string) => void,
): Promise<string[]> {
  const version = await railpackVersion()
  if (version === null)
    return [
      'railpack is not on PATH. Install it (https://github.com/railwayapp/railpack/releases), then run this again.',
    ]
  if (version.endsWith('-standin')) return ['the railpack on PATH is the stand-in of the lab.']
  if (!(await hasBuildctl())) return ['buildctl is not on PATH: it decodes what railpack builds.']
  if (dir === null || examples === null)
    return ['name the folder of recorded cases, and --examples of a checkout of railpack.']

  const folder = join(dir, 'railpack')
  mkdirSync(folder, { recursive: true })
  const failed: string[] = []
  for (const example of examplesIn(examples)) {
    try {
      const recorded = await recordExample(examples, example, version)
      writeFileSync(join(folder, `${example}.json`), `${JSON.stringify(recorded, null, 1)}\n`)
      say(`${example}: ${recorded.ops.length} operations`)
    } catch (error) {
      failed.push(`${example}: ${errorMessage(error)}`)
    }
  }
  return failed
}

/** Whether `value` has everything that `part` has. */
function holds(value: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return value === part
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(part).every(([key, each]) => holds(Reflect.get(value, key), each))
}
