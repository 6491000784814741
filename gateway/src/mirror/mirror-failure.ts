import { errorCode, errorMessage } from '#api/error-code.ts'

/** What went wrong at the mirror, in words that follow "the mirror". */
export class MirrorFailure extends Error {}

/** Turns an error of a request to the mirror into a `MirrorFailure`. */
export function mirrorFailure(error: unknown, request: string): MirrorFailure {
  if (error instanceof MirrorFailure) return error
  const code = errorCode(error) ?? errorMessage(error)
  const unreached = /^(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/
  return new MirrorFailure(
    unreached.test(code)
      ? `cannot be reached (${code})`
      : `broke the connection (${code}, ${request})`,
  )
}
