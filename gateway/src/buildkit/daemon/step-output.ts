import { join } from 'node:path'

/**
 * The script that runs between the daemon and runc. It keeps the order and the end of a step's
 * output.
 */
export const runcWithOutputLimit = join(import.meta.dirname, 'runc-with-output-limit')

/**
 * If a step prints more than its limit, this many bytes of the end are sent after the step ends.
 */
const tailBytes = 256 * 1024
/**
 * Space for the tail, its last piece and the marks. It keeps the output below the daemon's own
 * limit, which drops the end.
 */
const roomBytes = 2 * tailBytes

/**
 * Environment variables of the daemon: how much of a step's output it takes. `headBytes` is the
 * size of the beginning.
 */
export const stepOutputEnv = (headBytes: number): Record<string, string> => ({
  TARMAC_STEP_OUTPUT_HEAD: String(headBytes),
  TARMAC_STEP_OUTPUT_TAIL: String(tailBytes),
  BUILDKIT_STEP_LOG_MAX_SIZE: String(headBytes + roomBytes),
  BUILDKIT_STEP_LOG_MAX_SPEED: '-1', // a burst must not lose lines: only the size is limited
})
