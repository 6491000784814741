import type { DeploymentState } from './deployment.ts'
import type { DeploymentEvent } from './event.ts'

/**
 * What a reader of `…/events` gets, as NDJSON lines, SSE data or WebSocket messages: events, then
 * one closing message. After `stopping` or `too-slow` the log continues: reconnect with `?after=`
 * and the last number. After `unauthorized` that needs another token.
 */
export type StreamMessage = DeploymentEvent | ClosingMessage
type ClosingMessage = { type: 'end'; state: DeploymentState } | GoAway
export type GoAway = { type: 'stopping' | 'too-slow' | 'unauthorized'; detail: string }
