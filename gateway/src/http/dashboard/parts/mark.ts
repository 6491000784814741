import { type DeploymentState, isFinal, type ReleaseState } from '#api/deployment.ts'
import { html, type Html } from './html.ts'

/** How something does. Each has a word, a shape and a colour: no reader depends on one of them. */
export type Mood = 'good' | 'busy' | 'waiting' | 'bad' | 'warning' | 'over'

const shapes: Record<Mood, string> = {
  good: '●',
  busy: '◐',
  waiting: '○',
  bad: '✕',
  warning: '▲',
  over: '–',
}

export const mark = (mood: Mood, word: string): Html =>
  html`<span class="mark ${mood}"
    ><span class="shape" aria-hidden="true">${shapes[mood]}</span>${word}</span
  >`

export function moodOf(state: DeploymentState): Mood {
  if (state === 'live' || state === 'built') return 'good'
  if (state === 'build_failed' || state === 'deploy_failed') return 'bad'
  if (isFinal(state)) return 'over'
  return state === 'pending' ? 'waiting' : 'busy'
}

export const stateMark = (state: DeploymentState): Html => mark(moodOf(state), stateWord(state))
export const stateWord = (state: DeploymentState): string => state.replace('_', ' ')

export const releaseMark = (state: ReleaseState): Html =>
  mark(state === 'degraded' ? 'warning' : 'good', state)
