import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import {
  egressText,
  NewTemplate,
  Template,
  TemplateFormat,
  TemplateList,
} from '#api/previews/template.ts'
import { fill, routes } from '#api/routes.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { errorMessage } from '#api/error-code.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import { wrongUse } from '../option.ts'
import type { Printer } from '../print.ts'

/** `template`: a name, or `name@version` to show. */
export type TemplateRequest =
  | { verb: 'list'; app: string }
  | { verb: 'show'; app: string; template: string }
  | { verb: 'remove'; app: string; template: string }
  | { verb: 'set'; app: string; template: string; file: string; egress: Template['egress'] }

export const templateUsage =
  'list APP | show APP NAME[@VERSION] | set APP NAME FILE [--egress LIST] | remove APP NAME'

export const templateFlags = { egress: { type: 'string' } } as const

export const templateHelp = `Options of template:
  --egress LIST         set: the only ports that its machines may reach, as 443/tcp,53/udp, or none; default: all`

/** Reads `tarmac template …`. Null: another use. */
export function readTemplateArgs(
  [verb, given, template, file, ...more]: string[],
  { egress }: { egress?: string | undefined },
  appName: (text: string) => string,
): TemplateRequest | null {
  if (given === undefined || more.length > 0) return null
  if (egress !== undefined && verb !== 'set') return null
  const app = appName(given)
  if (verb === 'list' && template === undefined) return { verb, app }
  if (template === undefined) return null
  if (verb === 'set' && file !== undefined)
    return { verb, app, template, file, egress: readEgress(egress) }
  return (verb === 'show' || verb === 'remove') && file === undefined
    ? { verb, app, template }
    : null
}

function readEgress(text: string | undefined): Template['egress'] {
  if (text === undefined) return null
  const read = NewTemplate.shape.egress.safeParse(text === 'none' ? [] : text.split(','))
  if (read.success) return read.data
  throw wrongUse(
    `--egress takes ports, as 443/tcp,53/udp, or none. ${read.error.issues[0]?.message ?? ''}`,
  )
}

/** Lists, shows, sets and removes the templates of an app's previews. */
export async function templates(
  request: TemplateRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const { app } = request
  if (request.verb === 'list') {
    const path = fill(routes.templates, { app })
    const list = readAnswer(TemplateList, await gateway.ask('GET', path, signal))
    return printer.result(list, listLines(app, list))
  }

  const [name = '', version] = request.template.split('@')
  const path = fill(routes.template, { app, name })
  if (request.verb === 'show') {
    const query = version === undefined ? '' : `?version=${encodeURIComponent(version)}`
    const found = readAnswer(Template, await gateway.ask('GET', `${path}${query}`, signal))
    return printer.result(found, [
      `# ${name}@${found.version} of ${app}, by ${found.createdBy} at ${minuteOf(found.createdAt)} (UTC)`,
      `# its machines may reach ${egressText(found.egress)}`,
      ...found.config.trimEnd().split('\n'),
    ])
  }
  if (version !== undefined)
    throw wrongUse(`Give the name alone: tarmac template ${request.verb} ${app} ${name}`)
  if (request.verb === 'remove') {
    const removed = readAnswer(Template, await gateway.ask('DELETE', path, signal))
    return printer.result(removed, [`removed the template ${name} of ${app}`])
  }
  const body = { ...(await readTemplate(request.file)), egress: request.egress }
  const set = readAnswer(Template, await gateway.ask('PUT', path, signal, body))
  return printer.result(set, [
    `${name}@${set.version} of ${app}, whose machines may reach ${egressText(set.egress)}; to use it: tarmac preview ${app} --template ${name}`,
  ])
}

/** A fly.toml, fly.json or fly.yaml, by the ending of its name. */
async function readTemplate(file: string) {
  const ending = extname(file).slice(1).replace(/^yml$/, 'yaml')
  const format = TemplateFormat.safeParse(ending)
  if (!format.success)
    throw wrongUse(`A template is a file that ends with .toml, .json or .yaml, not ${file}.`)
  const config = await readFile(file, 'utf8').catch((error: unknown) => {
    throw wrongUse(`The template cannot be read: ${errorMessage(error)}`)
  })
  return { format: format.data, config }
}

function listLines(app: string, { templates: all }: TemplateList): string[] {
  if (all.length === 0)
    return [`${app} has no templates; to make one: tarmac template set ${app} NAME fly.toml`]
  const rows = all.map(({ name, version, egress, createdBy, createdAt }) => [
    name,
    String(version),
    egressText(egress),
    createdBy,
    minuteOf(createdAt),
  ])
  return table([['TEMPLATE', 'VERSION', 'MAY REACH', 'BY', 'SINCE (UTC)'], ...rows], [1])
}
