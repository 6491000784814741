import type { DatabaseSync } from 'node:sqlite'
import { AppSettings, type OwnSettings, patchSettings } from '#api/options/app-settings.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { Notices } from '../notices.ts'
import { parsedObject } from '../store-tools.ts'

/** The table of apps, for use within a transaction of the store. */
export class AppRows {
  readonly #notices: Notices
  readonly #add
  readonly #settings
  readonly #set
  readonly #serve

  constructor(db: DatabaseSync, notices: Notices) {
    this.#notices = notices
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
    return row ? settingsIn(String(row['settings'])) : {}
  }

  /** See `DeploymentStore.changeAppSettings`. */
  change(app: string, patch: unknown): OwnSettings {
    const settings = patchSettings(this.settings(app), patch)
    this.add(app)
    this.#set.run(
      keepWithin('The settings', JSON.stringify(settings), sizeLimits.optionsBytes),
      app,
    )
    this.#notices.queueHasChanged() // the app may now be allowed more builds
    return settings
  }

  /** Records that the app had its turn. */
  served(app: string): void {
    this.#serve.run(app)
  }
}

/** The settings of an app. Leaves out what cannot be read. */
export function settingsIn(text: string): OwnSettings {
  const known = Object.entries(parsedObject(text) ?? {}).filter(
    ([name, value]) => isSetting(name) && AppSettings.shape[name].safeParse(value).success,
  )
  return Object.fromEntries(known)
}

const isSetting = (name: string): name is keyof AppSettings =>
  Object.hasOwn(AppSettings.shape, name)
