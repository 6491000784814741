import type { LivingPreview, PreviewStats } from '#api/previews/preview-stats.ts'

/** Counts previews. `now`: milliseconds since 1970. */
export function statsOf(
  previews: readonly LivingPreview[],
  { now, currency }: { now: number; currency: string | null },
): PreviewStats {
  const ageOf = ({ createdAt }: LivingPreview) =>
    Math.max(0, Math.round((now - Date.parse(createdAt)) / 1000))
  const byAge = previews.toSorted((a, b) => ageOf(b) - ageOf(a))
  const sumOf = (some: readonly LivingPreview[]) => ({
    count: some.length,
    oldestSeconds: Math.max(...some.map(ageOf)),
    perHour: perHourOf(some),
  })
  const groups = (key: (preview: LivingPreview) => string) => [...Map.groupBy(byAge, key).values()]
  const ages = byAge.map(ageOf)
  const states = groups(({ state }) => state).map((some) => [some[0]!.state, some.length])

  return {
    at: new Date(now).toISOString(),
    count: previews.length,
    states: Object.fromEntries(states),
    ageSeconds:
      ages.length > 0
        ? { newest: ages.at(-1)!, median: ages[ages.length >> 1]!, oldest: ages[0]! }
        : null,
    oldest: byAge[0]?.id ?? null,
    currency,
    perHour: currency === null ? null : (perHourOf(previews) ?? 0),
    unpriced: previews.filter(({ perHour }) => perHour === null).length,
    owners: groups(({ app, owner }) => `${app} ${owner}`).map((some) => {
      const { app, owner } = some[0]!
      return { app, owner, ...sumOf(some) }
    }),
    teams: groups(({ team }) => team).map((some) => ({ team: some[0]!.team, ...sumOf(some) })),
    stuck: byAge.flatMap(({ id, app, owner, state, stuck }) =>
      stuck ? [{ id, app, owner, state, ...stuck }] : [],
    ),
  }
}

/** Null: no price is known. */
function perHourOf(previews: readonly LivingPreview[]): number | null {
  const known = previews.flatMap(({ perHour }) => perHour ?? [])
  return known.length > 0 ? known.reduce((sum, each) => sum + each, 0) : null
}
