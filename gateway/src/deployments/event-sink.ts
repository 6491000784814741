import type { NewEvent } from '#api/event.ts'

/**
 * Adds an event to the deployment's log. Never blocks and never fails: the pipeline collects,
 * redacts and writes it.
 */
export type EventSink = (event: NewEvent) => void
