/** The heading of a group, in words. This file runs in browsers too. */
import { terminalText } from '#api/text/visible-text.ts'
import type { Group, GroupStatus } from './log-model.ts'

const nameChars = 300

export const statusWords: Record<GroupStatus, string> = {
  started: 'running',
  cached: 'cached',
  done: 'done',
  failed: 'failed',
  stopped: 'stopped',
}

/** As the marks of all pages: `parts/mark.ts`. */
export const statusMarks: Record<GroupStatus, { mood: string; shape: string }> = {
  started: { mood: 'busy', shape: '◐' },
  cached: { mood: 'good', shape: '◇' },
  done: { mood: 'good', shape: '●' },
  failed: { mood: 'bad', shape: '✕' },
  stopped: { mood: 'over', shape: '–' },
}

/** The first line of the name of its step. */
export function groupName({ name }: Pick<Group, 'name'>): string {
  const text = terminalText(name.split('\n', 1)[0]!)
  return text.length > nameChars ? `${text.slice(0, nameChars)}…` : text
}

export const linesText = ({ count }: Pick<Group, 'count'>): string =>
  count === 0 ? '' : count === 1 ? '1 line' : `${count.toLocaleString('en')} lines`
