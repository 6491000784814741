/** What the gateway has promised, and what was wrong. */
export class Ledger {
  readonly faults: string[] = []
  /** Digests of sources by their deployments, which were answered with 202. */
  readonly deployments = new Map<string, string>()
  readonly #counts = new Map<string, number>()

  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1)
  }

  fault(what: string): void {
    this.faults.push(what)
  }

  /** Notes a deployment that was promised. Its source must be the one that was sent. */
  promised(
    { id, source }: { id: string; source: { digest: string } | null },
    { digest, by }: { digest: string; by: string },
  ): void {
    if (source?.digest !== digest)
      this.fault(`${by}: deployment ${id} has the source ${source?.digest}, not ${digest}`)
    this.deployments.set(id, digest)
    this.count(by)
  }

  get summary(): string {
    return [...this.#counts]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([what, count]) => `${count} ${what}`)
      .join(', ')
  }
}
