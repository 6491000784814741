import type { Printer } from '../print.ts'
import { checkToken, readToken } from './check-token.ts'
import { destroyBuilder } from './builder/destroy-builder.ts'
import { openFly } from './fly-parts.ts'
import type { DownCommand } from './read-up.ts'
import { setSideFileAside, sidePath } from './side-file.ts'

/** `tarmac down`: ends the builder's work, and removes it. Returns the exit code. */
export async function down(
  command: DownCommand,
  env: Record<string, string | undefined>,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const fly = openFly(
    { env, token: await readToken(command.token) },
    { report: printer.note, signal },
  )
  const org = await checkToken(fly, command)
  const { app, volumes, hasApp } = await destroyBuilder(fly, { ...command, org })

  if (app === null) printer.note(`there is no builder in ${org} to remove`)
  else if (hasApp)
    printer.note(
      `the app ${app} stays without machines: destroying it would destroy its volumes (${volumes.join(', ')}), which Fly bills. tarmac up --app ${app} makes a builder on them again; tarmac down --app ${app} --delete-volume deletes them`,
    )
  else {
    const kept = setSideFileAside(sidePath(env, app))
    if (kept) printer.note(`its token and key were moved to ${kept}: backups need that key`)
  }
  return printer.result({ app, volumes, removed: app !== null && !hasApp }, [])
}
