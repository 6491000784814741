/** A time for people, in UTC: `2026-11-30 12:15`. `time`: ISO 8601, UTC. */
export const minuteOf = (time: string): string => time.slice(0, 16).replace('T', ' ')
