import type { Action, Page } from '../parts/page.ts'
import { deploySecrets, setSecret, unsetSecret } from './secrets-forms.ts'
import { changeSettings, settingsPage } from './settings-page.ts'
import { setVariable, unsetVariable } from './variables-forms.ts'

/** What changes an app without a deployment of a source: settings, variables and secrets. */
export const editPages: Page[] = [settingsPage]

export const editActions: Action[] = [
  changeSettings,
  setVariable,
  unsetVariable,
  setSecret,
  unsetSecret,
  deploySecrets,
]
