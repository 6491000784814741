import type { DatabaseSync } from 'node:sqlite'
import type { OwnSettings } from '#api/options/app-settings.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { parsedObject } from '../store-tools.ts'

/** The table of apps, for use within a transaction of the store. */
export class AppRows {
  readonly #add
  readonly #settings
  readonly #set
  readonly #serve

  constructor(db: DatabaseSync) {
    this.#add = db.prepare('INSERT INTO apps (app) VALUES (?) ON CONFLICT DO NOTHING')
    this.#settings = db.prepare('SELECT settings FROM apps WHERE app = ?')
    this.#set = db.prepare('UPDATE apps SET settings = ? WHERE app = ?')
    this.#serve = db.prepare(
      'UPDATE apps SET served = (SELECT max(served) + 1 FROM apps) WHERE app = ?',
    )
  }

  add(app: string): void {
    keepWithin('The app’s name', app, sizeLimits.nameBytes)
    this.#add.run(app)
  }

  settings(app: string): OwnSettings {
    const row = this.#settings.get(app)
    return (row && parsedObject(String(row['settings']))) ?? {}
  }

  set(app: string, settings: OwnSettings): void {
    this.add(app)
    this.#set.run(
      keepWithin('The settings', JSON.stringify(settings), sizeLimits.optionsBytes),
      app,
    )
  }

  /** Records that the app had its turn. */
  served(app: string): void {
    this.#serve.run(app)
  }
}
