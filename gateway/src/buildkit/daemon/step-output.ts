import { join } from 'node:path'

/** Stands between the daemon and runc, and keeps the end of what a step prints. */
export const runcWithOutputLimit = join(import.meta.dirname, 'runc-with-output-limit')

/** Of a step that prints more than its limit, this much of the end comes when it has ended. */
const tailBytes = 256 * 1024
/** So that the daemon's own limit, which keeps no end, is never met: room for the tail, its last piece and a note. */
const roomBytes = 2 * tailBytes

/** For the daemon's environment: what it takes of a step's output, `headBytes` of its beginning and the end. */
export const stepOutputEnv = (headBytes: number): Record<string, string> => ({
  TARMAC_STEP_OUTPUT_HEAD: String(headBytes),
  TARMAC_STEP_OUTPUT_TAIL: String(tailBytes),
  BUILDKIT_STEP_LOG_MAX_SIZE: String(headBytes + roomBytes),
  BUILDKIT_STEP_LOG_MAX_SPEED: '-1', // a burst is no reason to lose lines: the size alone is limited
})
