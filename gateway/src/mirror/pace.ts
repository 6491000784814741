import { MirrorFailure } from './mirror-failure.ts'

export type PaceLimits = {
  /** The time over which the speed is measured. One wait may not take longer. */
  windowMs: number
  minBytesPerS: number
}

/**
 * Measures how fast the mirror takes a body. Only the time counts in which the gateway waits for
 * the mirror, so a slow build daemon is not the mirror's fault.
 */
export class Pace {
  readonly #limits: PaceLimits
  #waitedMs = 0
  #bytes = 0

  constructor(limits: PaceLimits) {
    this.#limits = limits
  }

  sent(bytes: number): void {
    this.#bytes += bytes
  }

  /** Waits for the mirror. Throws a `MirrorFailure` if it is too slow. */
  async wait(drained: Promise<unknown>): Promise<void> {
    const { windowMs, minBytesPerS } = this.#limits
    const from = performance.now()
    await within(windowMs, drained, () => this.#tooSlow())
    this.#waitedMs += performance.now() - from
    if (this.#waitedMs < windowMs) return
    if ((this.#bytes / this.#waitedMs) * 1000 < minBytesPerS) throw this.#tooSlow()
    this.#waitedMs = 0
    this.#bytes = 0
  }

  #tooSlow(): MirrorFailure {
    const { windowMs, minBytesPerS } = this.#limits
    const kib = Math.round(minBytesPerS / 1024)
    return new MirrorFailure(
      `took less than ${kib} KiB per second (measured over ${windowMs / 1000} s)`,
    )
  }
}

/** Waits for `promise`, but at most `ms`. Then it throws `late()`. */
export async function within<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms)
  })
  try {
    return await Promise.race([promise, over])
  } finally {
    clearTimeout(timer)
  }
}
