import type { DeploymentState } from './deployment.ts'
import type { DeploymentEvent } from './event.ts'

/**
 * What a reader of `…/events` gets, as NDJSON lines, SSE data or WebSocket messages: events, then one closing message.
 * After `stopping` the log goes on elsewhere, or here again: come back with `?after=` the last number.
 */
export type StreamMessage = DeploymentEvent | ClosingMessage
export type ClosingMessage = { type: 'end'; state: DeploymentState } | { type: 'stopping'; detail: string }
