import type { DeploymentEvent } from '../event.ts'
import { eventWords } from './event-words.ts'

/**
 * Renders an event as text for people, as curl and the client print it. Each line starts with the
 * seconds since the deployment was created, and ends with a line feed.
 */
export function renderEvent(event: DeploymentEvent, createdAt: string): string {
  const time = timeOf(event.at, createdAt)
  const lines = eventWords(event).map((text) => `${time}  ${text}\n`)
  return lines.join('')
}

/** Renders one line between events, with the same time format. */
export function renderLine(text: string, at: string, createdAt: string): string {
  return `${timeOf(at, createdAt)}  ${text}\n`
}

function timeOf(at: string, createdAt: string): string {
  const seconds = Math.max(0, Date.parse(at) - Date.parse(createdAt)) / 1000
  return `${seconds.toFixed(1).padStart(7)}s`
}
