import { visible } from '../text/visible-text.ts'
import type { Answer, Finding } from './report.ts'

const words: Record<Answer, string> = {
  ok: 'ok',
  warning: 'warning',
  failed: 'failed',
  unknown: 'not known',
}

/** One line for each finding below its group, with what to do next below that. */
export function renderFindings(findings: readonly Finding[]): string {
  const groups = [...new Set(findings.map(({ group }) => group))]
  const lines = groups.flatMap((name) => [
    name,
    ...findings.filter(({ group }) => group === name).flatMap(renderFinding),
  ])
  return lines.map((line) => `${visible(line)}\n`).join('')
}

function renderFinding({ name, answer, detail, next }: Finding): string[] {
  const line = `  ${words[answer].padEnd(9)}  ${name}: ${inOneLine(detail)}`
  return next === null ? [line] : [line, `             next: ${next}`]
}

const inOneLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .join(' ')

/** `12 ok, 1 warning, 1 failed, 2 not known` */
export function summary(findings: readonly Finding[]): string {
  const texts = Object.entries(words).flatMap(([word, text]) => {
    const count = findings.filter(({ answer }) => answer === word).length
    return count > 0 ? [`${count} ${text}`] : []
  })
  return texts.join(', ') || 'nothing was tried'
}
