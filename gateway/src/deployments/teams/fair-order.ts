/** What the queue knows of teams. */
export type QueueTeams = {
  /** The team of an app. */
  of: (app: string) => string
  /** Grows each time the queue starts a deployment of the team. */
  lastServed: (team: string) => number
  /** How many builds of the team may run at once. Null: no limit. */
  builds: (team: string) => number | null
}

export const oneTeam: QueueTeams = { of: () => '', lastServed: () => 0, builds: () => null }

/**
 * Orders what may start: the team with the fewest running builds goes first, and within a team the
 * app with the fewest. Among equals the one served longest ago goes first, then the order given. Each
 * place counts as one more running build, so the order is what results when all start one by one. A
 * team or an app waits behind others only while it has a running build that they lack, so none starves.
 */
export function fairOrder<T extends { app: string; lastServed: number }>(
  waiting: readonly T[],
  running: readonly { app: string }[],
  teams: QueueTeams,
): T[] {
  const byApp = inTurns(waiting, {
    keyOf: ({ app }) => app,
    running: running.map(({ app }) => app),
    lastServed: ({ lastServed }) => lastServed,
  })
  return inTurns(byApp, {
    keyOf: ({ app }) => teams.of(app),
    running: running.map(({ app }) => teams.of(app)),
    lastServed: ({ app }) => teams.lastServed(teams.of(app)),
  })
}

type Turns<T> = {
  keyOf: (item: T) => string
  /** The key of each running build. */
  running: readonly string[]
  lastServed: (item: T) => number
}

function inTurns<T>(items: readonly T[], { keyOf, running, lastServed }: Turns<T>): T[] {
  const turns = new Map<string, number>()
  const next = (key: string) => {
    const turn = turns.get(key) ?? 0
    turns.set(key, turn + 1)
    return turn
  }
  for (const key of running) next(key)
  return items
    .map((item) => ({ item, turn: next(keyOf(item)), served: lastServed(item) }))
    .toSorted((a, b) => a.turn - b.turn || a.served - b.served)
    .map(({ item }) => item)
}
