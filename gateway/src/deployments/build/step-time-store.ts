/** How long the steps of an app's builds took when they ran last, by their names. */
export interface StepTimeStore {
  /** Milliseconds by name. An app keeps the newest 2000 steps. */
  note(app: string, ran: ReadonlyMap<string, number>): void
  /** How long these steps took together when they ran last. Null: none of them is known. */
  sumOf(app: string, steps: Iterable<string>): number | null
  forget(app: string): void
}

/** How many steps are kept of each app. */
export const keptSteps = 2000
