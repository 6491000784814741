/**
 * A refusal in Fly's words: HTTP status, the text of `error`, and the newer `status` code where Fly
 * sends one.
 */
export class FlyError extends Error {
  readonly httpStatus: number
  readonly status: string | undefined

  constructor(httpStatus: number, text: string, status?: string) {
    super(text)
    this.name = 'FlyError'
    this.httpStatus = httpStatus
    this.status = status
  }
}
