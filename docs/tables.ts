import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { quotaNames, quotas } from '../api/callers/quotas.ts'
import { calls } from '../api/calls.ts'
import { type DeploymentState, isFinal } from '../api/deployment.ts'
import { NewEvent } from '../api/event.ts'
import { exitCodeOf, exitCodes } from '../api/problem/exit-codes.ts'
import { DeploymentOptions } from '../api/options.ts'
import { problemCodes, problems } from '../api/problem/codes.ts'
import { routes } from '../api/routes.ts'
import { crashPoints } from '../test/e2e/crash-table.ts'
import { moves, touchesMachines } from '../gateway/src/deployments/states.ts'
import { settingsOf } from '../gateway/src/settings/setting.ts'
import { settings } from '../gateway/src/settings/settings.ts'
import { faults } from '../lab/localfly/hostile.ts'
import { help } from '../client/src/help.ts'
import { flyTomlRows } from './fly-toml-table.ts'

const whatGoesOn: Record<DeploymentState, string> = {
  pending: 'waits in its lane until the runner claims it',
  fetching: 'its source tree is read from the volume',
  analyzing: 'railpack in its sandbox, or a Dockerfile, gives the plan',
  building: 'BuildKit runs the steps',
  pushing: 'the same solve pushes the image, or the gateway copies it from another registry',
  deploying: 'machines are created or updated; each intent is recorded first',
  verifying: 'every machine is read back: instance, digest, checks, and no crash for a while',
  live: 'every machine runs the image',
  built: 'the image is pushed; `deploy=false` asks for no machines',
  build_failed: 'nothing outside the gateway was changed',
  deploy_failed: 'changed machines are rolled back, or the record names those that could not be',
  cancelled: 'a caller cancelled it; nothing of it runs',
  superseded: 'a newer deployment superseded it',
}

/**
 * The tables of the docs that come from the code, by file. `npm run docs` writes them, and a test
 * compares them.
 */
export const tables: Record<string, string> = {
  'settings.md': table(
    ['setting', 'default', 'what it is for'],
    settingsOf(settings).map(({ name, fallback, about }) => [`\`${name}\``, code(fallback), about]),
  ),
  'callers.md': table(
    ['quota', 'counts', 'begins again', 'what it limits'],
    quotaNames.map((name) => {
      const { what, per, about } = quotas[name]
      return [
        `\`${name}\``,
        what,
        per === null ? 'never: what there is at once' : `each ${per} (UTC)`,
        about,
      ]
    }),
  ),
  'problems.md': table(
    ['code', 'status', 'whose fault', 'worth a retry', 'exit code of the client', 'title'],
    problemCodes.map((name) => {
      const { status, fault, retry, title } = problems[name]
      return [
        `\`${name}\``,
        `${status}`,
        fault,
        retry ? 'yes' : 'no',
        `${exitCodeOf[name]} (${exitCodes[exitCodeOf[name]]})`,
        title,
      ]
    }),
  ),
  'events.md': table(
    ['type', 'fields'],
    NewEvent.options.map((event) => [
      `\`${event.shape.type.value}\``,
      Object.keys(event.shape)
        .filter((name) => name !== 'type')
        .map((name) => `\`${name}\``)
        .join(', '),
    ]),
  ),
  'http.md': [
    table(
      ['method', 'path', 'what it does'],
      calls.map(({ method, route, about }) => [method, `\`${routes[route]}\``, about]),
    ),
    table(
      ['option', 'default', 'meaning'],
      Object.entries(DeploymentOptions.shape).map(([name, field]) => [
        `\`${name}\``,
        code((field as z.ZodType).parse(undefined)),
        field.description ?? '',
      ]),
    ),
  ].join('\n\n'),
  'apps.md': table(
    ['key', 'what for', 'counts', 'has no effect here', 'is refused'],
    flyTomlRows(),
  ),
  'client.md': table(
    ['command', 'option', 'meaning'],
    optionsOf(help).map(({ command, option, about }) => [command, `\`${option}\``, about]),
  ),
  '../lab/README.md': table(
    ['fault', 'asked at', 'what happens', '`ms`'],
    Object.entries(faults).map(([name, fault]) => [
      `\`${name}\``,
      { call: 'a call', machine: 'work on a machine', always: 'all times' }[fault.at],
      fault.about,
      'ms' in fault ? `${fault.ms[0]} (${fault.ms[1]})` : '',
    ]),
  ),
  'deployments.md': table(
    ['state', 'what goes on', 'may go to', 'after a crash'],
    Object.entries(moves).map(([state, next]) => [
      `\`${state}\``,
      whatGoesOn[state as DeploymentState],
      next.map((to) => `\`${to}\``).join(', ') || 'final',
      afterCrash(state as DeploymentState),
    ]),
  ),
  'crash-points.md': table(
    ['point', 'who', 'when', 'afterwards'],
    Object.entries(crashPoints).map(([name, { who, moment, after }]) => [
      `\`${name}\``,
      who,
      moment,
      after,
    ]),
  ),
}

/** The options of the client's help, by command. */
export function optionsOf(text: string) {
  let command = ''
  return text.split('\n').flatMap((line) => {
    command = /^Options of (.+):$/.exec(line)?.[1] ?? command
    const [, option, about] = /^  (--\S.*?) {2,}(\S.*)$/.exec(line) ?? []
    return option && about ? [{ command, option, about }] : []
  })
}

function afterCrash(state: DeploymentState): string {
  if (isFinal(state)) return 'stays'
  if (state === 'pending') return 'keeps waiting'
  return touchesMachines(state)
    ? 'continues in this state'
    : 'goes back to `pending`, or ends if a caller cancelled it'
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}

function code(value: unknown): string {
  return value === '' || value === null
    ? 'none'
    : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

/** Returns a docs page with its generated part updated from the code. */
export function withTable(page: string, text: string): string {
  const [before, , after] = text.split(/<!-- made from the code[^>]*-->|<!-- end -->/)
  if (after === undefined) throw new Error(`docs/${page} has no place for its table`)
  return `${before}<!-- made from the code by npm run docs -->\n${tables[page]}\n<!-- end -->${after}`
}

if (import.meta.main)
  for (const page of Object.keys(tables)) {
    const file = join(import.meta.dirname, page)
    writeFileSync(file, withTable(page, readFileSync(file, 'utf8')))
  }
