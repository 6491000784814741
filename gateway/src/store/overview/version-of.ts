import type { Tables } from '../tables.ts'

/**
 * Another text after each change of a record. SQLite counts the rows that this process changed;
 * `data_version` is about other ones.
 */
export function versionOf({ deployments, events }: Tables): string {
  const own = Number(deployments.prepare('SELECT total_changes() AS count').get()?.['count'])
  const others = Number(deployments.prepare('PRAGMA data_version').get()?.['data_version'])
  return `${own - events.changes} ${others}`
}
