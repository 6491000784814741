import type { AuditFilter } from '#api/callers/audit.ts'
import { problemCodes } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { nearestOf } from '#api/text/nearest.ts'
import { access } from '../access/table.ts'

type Rows = { [name: string]: { changes: boolean } | Rows }

const isRow = (row: Rows[string]): row is { changes: boolean } =>
  typeof row['changes'] === 'boolean'

const namesIn = (rows: Rows, prefix = ''): string[] =>
  Object.entries(rows).flatMap(([name, row]) => {
    if (!isRow(row)) return namesIn(row, `${prefix}${name}.`)
    return row.changes ? [prefix + name] : []
  })

/** Throws `option-invalid` for a filter that no entry can match. */
export function assertKnownNames({ command, result }: AuditFilter): void {
  const commands = [...namesIn(access), 'audit.segment', 'audit.pruned']
  if (command !== undefined && !commands.includes(command))
    throw unknown('command', command, commands, ` The commands are ${commands.join(', ')}.`)
  const results = ['ok', 'failed', 'running', 'unknown', ...problemCodes]
  if (result !== undefined && !results.includes(result))
    throw unknown('result', result, results, ' It is ok, failed, unknown or the code of a problem.')
}

const unknown = (option: string, given: string, known: string[], all: string) =>
  new Problem(
    'option-invalid',
    `The option ${option} is invalid: no entry has ${given.slice(0, 100)}. Did you mean ${nearestOf(given.slice(0, 100), known)}?${all}`,
    { facts: { option } },
  )
