import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const tries = 5

/**
 * Lists runc's containers below a folder. The whole list fails when any container ends meanwhile.
 */
export async function runcContainers(below: string): Promise<{ id: string; bundle: string }[]> {
  for (let attempt = 1; ; attempt++) {
    const stdout = await run('runc', ['list', '--format', 'json']).then(
      (listed) => listed.stdout,
      (error: unknown) => {
        if (attempt === tries) throw error
      },
    )
    if (stdout === undefined) continue
    const all = (JSON.parse(stdout) ?? []) as { id: string; bundle: string }[]
    return all.filter(({ bundle }) => bundle.startsWith(`${below}/`))
  }
}

export async function removeContainers(below: string): Promise<void> {
  for (const { id } of await runcContainers(below))
    await run('runc', ['delete', '--force', id]).catch(() => undefined)
}
