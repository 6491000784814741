import type { App, Volume } from '#fly/answers.ts'
import type { FlyParts } from '../fly-parts.ts'
import type { Found, Goal } from './plan.ts'
import type { Choice } from './sizes.ts'

/** What the caller of `ensureBuilder` provides. */
export type Makers = {
  /** Builds an image for a builder that has none, in its region. */
  buildImage: (app: App, region: string) => Promise<string>
  /** The values of these secrets. It keeps what it makes before it returns. */
  secretsOf: (app: string, names: string[]) => Record<string, string>
}

/** One run of `ensureBuilder`. Steps change `found`, `goal` and `choices`. */
export type Run = {
  fly: FlyParts
  goal: Goal
  found: Found
  app: App | null
  /** What is left to try. The first is the goal's. */
  choices: Choice[]
  makers: Makers
  /** A volume that this run has made and no machine has used: it is empty. */
  freshVolume: Volume | null
}
