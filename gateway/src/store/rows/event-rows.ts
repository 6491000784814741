import type { DatabaseSync } from 'node:sqlite'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { cutEvent } from '../../deployments/cut-texts.ts'
import type { Notices } from '../notices.ts'

/** The logs of deployments, for use within a transaction of the store. */
export class EventRows {
  readonly #notices: Notices
  readonly #count
  readonly #insert
  readonly #after
  /** How many rows the writing of logs has changed. */
  changes = 0

  constructor(db: DatabaseSync, notices: Notices) {
    this.#notices = notices
    this.#count = db.prepare(
      'UPDATE deployments SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq',
    )
    this.#insert = db.prepare('INSERT INTO events (deployment, seq, at, body) VALUES (?, ?, ?, ?)')
    this.#after = db.prepare(
      'SELECT seq, at, body FROM events WHERE deployment = ? AND seq > ? ORDER BY seq LIMIT ?',
    )
  }

  write(id: string, events: NewEvent[], at: string): void {
    let seq = Number(this.#count.get(events.length, id)!['last_seq']) - events.length
    for (const event of events) this.#insert.run(id, ++seq, at, JSON.stringify(cutEvent(event)))
    this.changes += 1 + events.length
    this.#notices.logHasGrown(id)
  }

  after(id: string, after: number, limit: number, limitBytes: number): DeploymentEvent[] {
    const events: DeploymentEvent[] = []
    let sizeBytes = 0
    for (const { seq, at, body } of this.#after.iterate(id, after, limit)) {
      const text = String(body)
      events.push({ seq: Number(seq), at: String(at), ...eventIn(text) })
      sizeBytes += text.length
      if (sizeBytes >= limitBytes) break
    }
    return events
  }
}

/**
 * Checks only that it has a type: a log may have millions of lines, and each reader reads them all.
 */
const isEvent = (value: unknown): value is NewEvent =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'

function eventIn(text: string): NewEvent {
  const event: unknown = JSON.parse(text)
  if (isEvent(event)) return event
  throw new Problem('database-unusable', 'A line of the log is damaged and cannot be read.')
}
