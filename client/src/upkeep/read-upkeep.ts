import { Problem } from '#api/problem.ts'
import { drainLimits } from '#api/status/drain.ts'
import type { Connection } from '../connection.ts'

export type BackupCommand = Connection & {
  name: 'backup'
  /** Null: a name with the time, in this folder. */
  file: string | null
}
export type RestoreCommand = Connection & {
  name: 'restore'
  file: string
  overNewer: boolean
  drainSeconds: number
}
export type UpkeepCommand = BackupCommand | RestoreCommand

type Values = { 'over-newer': boolean; 'drain-limit'?: string | undefined }

/** Null: it is no such command. Throws a Problem with exit code 2 for a wrong option. */
export function readUpkeep(
  name: string,
  args: string[],
  values: Values,
  connection: Connection,
): UpkeepCommand | null {
  const [file, ...more] = args
  if (more.length > 0) return null
  if (name === 'backup') return { name, file: file ?? null, ...connection }
  if (name !== 'restore' || file === undefined) return null
  const drainSeconds = readSeconds(values['drain-limit'])
  return { name, file, overNewer: values['over-newer'], drainSeconds, ...connection }
}

export function readSeconds(text: string | undefined): number {
  if (text === undefined) return drainLimits.usual
  const seconds = Number(text)
  if (/^\d+$/.test(text) && seconds <= drainLimits.most) return seconds
  throw new Problem(
    'option-invalid',
    `--drain-limit is given in seconds, a whole number from 0 to ${drainLimits.most}, not as ${text}.`,
  )
}
