import type { NewEvent } from '#api/event.ts'

/** Adds to the log of the deployment at hand. Never blocks and never fails: the pipeline gathers, masks and writes. */
export type EventSink = (event: NewEvent) => void
