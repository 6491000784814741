import { inMb } from '#api/text/in-mb.ts'

/** What is wrong with one thing on the volume, and whether it is right now. */
export type Finding = {
  /** A path below the volume. */
  at: string
  what: string
  repaired: boolean
}

/** What `tarmac-gateway fsck` found. */
export type FsckReport = {
  objects: number
  bytes: number
  trees: number
  files: number
  findings: Finding[]
  /** The digests of trees that could not be made whole. */
  setAside: string[]
}

/** 0: all is right, or right again. 3: something is wrong. 4: trees were set aside. */
export function fsckExitCode({ findings, setAside }: FsckReport): number {
  if (setAside.length > 0) return 4
  return findings.every(({ repaired }) => repaired) ? 0 : 3
}

const maxShown = 100

export function fsckText(report: FsckReport): string {
  const { objects, bytes, trees, files, findings, setAside } = report
  const shown = findings.slice(0, maxShown)
  return [
    ...shown.map(({ at, what, repaired }) => `${at}: ${what}${repaired ? ' (repaired)' : ''}`),
    ...(findings.length > maxShown ? [`… and ${findings.length - maxShown} more`] : []),
    `Checked ${objects} stored files (${inMb(bytes)}) and ${files} files of ${trees} trees.`,
    verdictOf(report),
    ...setAside.map((digest) => `  ${digest}`),
  ].join('\n')
}

function verdictOf({ findings, setAside }: FsckReport): string {
  if (findings.length === 0) return 'All of them are whole.'
  if (setAside.length > 0)
    return 'These trees could not be made whole. They are in set-aside/ for a week. Send their sources again:'
  const left = findings.filter(({ repaired }) => !repaired).length
  if (left === 0) return `Repaired ${findings.length} of ${findings.length} faults.`
  return `${left} of ${findings.length} faults are left. To repair them: tarmac-gateway fsck --repair`
}
