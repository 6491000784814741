import { dirname, join } from 'node:path/posix'
import { parse } from 'smol-toml'
import { z } from 'zod'
import { configNames } from '#api/app.ts'
import { errorMessage } from '#api/error-code.ts'
import { readIfThere } from '../ignore/read-if-there.ts'

/** What the client needs of an app's fly.toml, fly.json or fly.yaml. */
export type AppConfig = {
  /** The file's name. Null: there is none. */
  file: string | null
  app: string | null
  dockerfile: string | null
  ignorefile: string | null
  /** Files of the source that it names. */
  files: string[]
  /** Why the file could not be read. The gateway reads it too, and says more. */
  error: string | null
}

const text = z.string().optional().catch(undefined)
const Config = z.object({
  app: text,
  build: z.object({ dockerfile: text, ignorefile: text }).optional().catch(undefined),
  files: z
    .array(z.object({ local_path: text }))
    .optional()
    .catch(undefined),
})

const reader = (file: string): ((text: string) => unknown) => {
  if (file.endsWith('.json')) return (text) => JSON.parse(text)
  return /\.ya?ml$/.test(file) ? topLevelApp : parse
}

/**
 * Reads the app's config file in a folder: `chosen`, which may name the folder of a fly.toml, else
 * the usual one. A file that cannot be parsed gives only `error`.
 */
export async function readAppConfig(
  folder: string,
  chosen: string | null = null,
): Promise<AppConfig> {
  const found = { app: null, dockerfile: null, ignorefile: null, files: [], error: null }
  for (const file of chosen === null
    ? configNames
    : [join(chosen), join(chosen, configNames[0]!)]) {
    const content = await readIfThere(join(folder, file))
    if (content === null) continue
    try {
      const { app, build, files } = Config.parse(reader(file)(content.replace(/^\ufeff/, '')))
      return {
        ...found,
        file,
        app: app ?? null,
        dockerfile: besides(file, build?.dockerfile),
        ignorefile: besides(file, build?.ignorefile),
        files: (files ?? []).flatMap(({ local_path: path }) => path ?? []),
      }
    } catch (error) {
      return { ...found, file, error: errorMessage(error).split('\n')[0]! }
    }
  }
  return { ...found, file: null }
}

/** `[build]` names files from the folder of the config file. */
const besides = (file: string, path: string | undefined) =>
  path === undefined ? null : join(dirname(file), path)

/** YAML is read by the gateway. The client needs only the line `app: NAME`. */
function topLevelApp(content: string): { app?: string } {
  const app = /^app:[ \t]*(?:"([^"\n]*)"|'([^'\n]*)'|([\w-]+))/m.exec(content)
  const name = app?.[1] ?? app?.[2] ?? app?.[3]
  return name === undefined ? {} : { app: name }
}
