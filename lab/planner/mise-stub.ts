import { chmod, chown, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bakedTools } from '../pins.ts'

/** Where railpack 0.37 looks for mise, and runs whatever it finds. */
export const misePath = `/tmp/railpack/mise/mise-${bakedTools.mise}`

/**
 * Installs the stub where a real railpack looks for mise, unless something else is there. Returns
 * whether it did.
 */
export async function installMiseStub(path = misePath): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  const previous = found && found.size < maxStubBytes ? await readFile(path, 'utf8') : ''
  if (found && (previous === miseStub() || !previous.includes(mark))) return false
  const folder = dirname(path)
  await mkdir(folder, { recursive: true })
  // the planner keeps its locks beside mise
  if (process.getuid?.() === 0) await chown(folder, 65534, 65534)
  await writeFile(`${path}.part`, miseStub())
  await chmod(`${path}.part`, 0o755)
  await rename(`${path}.part`, path)
  return true
}

const mark = "# Tarmac's stand-in for mise"
const maxStubBytes = 10_000

/**
 * Answers railpack's questions to mise during planning, with the versions of the stand-in builder
 * image.
 */
function miseStub(): string {
  const answers = (['node', 'python', 'caddy', 'go'] as const).map((tool) => {
    return `  ${tool}@*) answer ${bakedTools[tool]} "\${asked#*@}" ;;`
  })
  return `#!/bin/sh
${mark}, for a railpack that plans against the lab's builder image. Put here by lab/planner.
answer() {
  case "$2" in latest | lts | lts/* | "") echo "$1" ;; *) case "$1." in "$2".*) echo "$1" ;; esac ;; esac
}
while [ "$1" = --cd ]; do shift 2; done
asked=$2
case "$1" in
--version) echo "${bakedTools.mise} (Tarmac's stand-in)" ;;
list) echo "{}" ;;
latest | ls-remote)
  case "$asked" in
${answers.join('\n')}
  esac ;;
*) echo "mise stand-in: $1 is not known" >&2; exit 1 ;;
esac
`
}
