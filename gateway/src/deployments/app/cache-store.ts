/** How often an app's build cache was removed. `isCold`: no build has succeeded since. */
export type CacheGeneration = { generation: number; isCold: boolean }

/** Which generation of an app's build cache counts. */
export interface CacheStore {
  of(app: string): Promise<CacheGeneration>
  /** Starts a new generation: nothing that was built for the app before is used again. */
  reset(app: string): Promise<void>
  /** A build of this generation has succeeded. */
  noteBuilt(app: string, generation: number): Promise<void>
}
