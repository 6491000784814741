import { readFile, rename, writeFile } from 'node:fs/promises'
import { ImagesStatus, type MissingImage } from '#api/status/images.ts'
import { asProblem } from '#api/problem.ts'
import type { Logger } from '../log.ts'
import { type CheckDeps, checkImages, type Found } from './check-images.ts'

type WatchDeps = CheckDeps & {
  /** Where the result of the last check is kept. */
  file: string
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  now?: () => number
  random?: () => number
}

const hourMs = 3_600_000
const everyMs = 24 * hourMs
/** After a start, and between the end of a failed check and the next one. */
const [firstMs, againMs] = [60_000, hourMs]
const jitterMs = 5 * 60_000

const none: ImagesStatus = {
  checkedAt: null,
  running: false,
  checked: 0,
  missing: [],
  problem: null,
}

/**
 * Checks each day that the registry still has the image of every kept release, and at a start if
 * the last check is older. The timer keeps no process awake.
 */
export class ImageWatch {
  readonly #deps: WatchDeps
  readonly #stopping = new AbortController()
  #status: ImagesStatus
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  static async start(deps: WatchDeps): Promise<ImageWatch> {
    const text = await readFile(deps.file, 'utf8').catch(() => '')
    const watch = new ImageWatch(deps, statusIn(text))
    watch.#schedule(firstMs)
    return watch
  }

  private constructor(deps: WatchDeps, status: ImagesStatus) {
    this.#deps = deps
    this.#status = status
  }

  /** `running`: the machine must stay awake. */
  get status(): ImagesStatus {
    return this.#status
  }

  /** What callers should know about an app's images, in words. */
  warningsOf(app: string): string[] {
    return this.#status.missing
      .filter(({ releases }) => releases.some((each) => each.app === app))
      .map((image) => warningOf(image, app))
  }

  /** Checks now. A failure is logged and stays in the status. */
  async check(): Promise<void> {
    const { log, now = Date.now } = this.#deps
    this.#status = { ...this.#status, running: true }
    try {
      const found = await checkImages(this.#deps, this.#stopping.signal)
      this.#status = resultOf(found, this.#status.missing, new Date(now()).toISOString())
      this.#logFound(found)
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      // What the last check found still counts: this one found nothing out.
      const { message } = asProblem(error)
      this.#status = { ...this.#status, running: false, problem: message }
      log.warn({ problem: message }, 'could not check the images of kept releases; it tries again')
    }
    await writeStatus(this.#deps.file, this.#status).catch((err: unknown) =>
      log.warn({ err }, 'the result of the image check could not be saved'),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  #schedule(leastMs: number): void {
    const { now = Date.now, random = Math.random } = this.#deps
    const { checkedAt } = this.#status
    const dueMs = checkedAt === null ? 0 : Date.parse(checkedAt) + everyMs - now()
    const waitMs = Math.max(leastMs, dueMs) + random() * jitterMs
    this.#timer = setTimeout(() => {
      this.#running = this.check().then(() => {
        if (!this.#stopping.signal.aborted) this.#schedule(againMs)
      })
    }, waitMs).unref()
  }

  #logFound({ checked, restored, missing }: Found): void {
    const { log } = this.#deps
    log.info(
      { checked, restored: restored.length, missing: missing.length },
      'images of kept releases checked',
    )
    for (const { reference, releases } of restored)
      log.warn({ reference, releases }, 'the registry had lost an image; it was pushed again')
    for (const { reference, releases, why } of missing)
      log.error(
        { reference, releases, why },
        'the registry has lost the image of a kept release, and it could not be pushed again',
      )
  }
}

function resultOf(
  { checked, missing }: Found,
  before: readonly MissingImage[],
  at: string,
): ImagesStatus {
  const sinceOf = ({ reference }: { reference: string }) =>
    before.find((each) => each.reference === reference)?.missingSince ?? at
  return {
    ...none,
    checkedAt: at,
    checked,
    missing: missing.map(({ reference, app, releases, why }) => {
      const missingSince = sinceOf({ reference })
      return { reference, app, releases, why, missingSince }
    }),
  }
}

function warningOf({ reference, releases, why, missingSince }: MissingImage, app: string): string {
  const numbers = releases.filter((each) => each.app === app).map(({ number }) => number)
  const which = numbers.length === 1 ? `release ${numbers[0]}` : `releases ${numbers.join(', ')}`
  return `The registry has lost the image of ${which} (${reference}; found on ${missingSince.slice(0, 10)}). It could not be pushed again: ${why} A rollback to it fails, and so may a machine that starts on a new host. Deploy its source again.`
}

/** Before the first check, or with a damaged file, the status is that of a new gateway. */
function statusIn(text: string): ImagesStatus {
  try {
    return { ...ImagesStatus.parse(JSON.parse(text)), running: false }
  } catch {
    return none
  }
}

async function writeStatus(path: string, status: ImagesStatus): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(status), { mode: 0o600 })
  await rename(`${path}.new`, path)
}
