import type { Config } from '../config.ts'
import type { SecretStore } from '../deployments/secret-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { Resealing } from '../secrets/resealing.ts'
import { SealingKeys } from '../secrets/sealing.ts'
import { Vault } from '../secrets/vault.ts'
import { LoginTester } from './login-tester.ts'
import type { Logins } from './logins.ts'
import { Registries } from './registries.ts'

type Parts = {
  store: SecretStore & Pick<DeploymentStore, 'sealed' | 'registries' | 'teams'>
  logins: Logins
  log: Logger
}

/** What is kept sealed: secrets of builds, and logins at registries. */
export async function openSealed(config: Config, { store, logins, log }: Parts) {
  const { secrets } = config
  const sealing = new SealingKeys(secrets.key, secrets.oldKeys)
  const registries = await Registries.open({
    store: store.registries,
    sealing,
    teamOf: (app) => store.teams.teamOf(app),
    log,
  })
  logins.use(registries)
  const resealing = await Resealing.open({ store: store.sealed, sealing, log })
  const loginTester = new LoginTester(config)
  /** What no log of an app may show, beside the app's secrets. */
  const hiddenValues = (app: string) => [
    ...secrets.tokens,
    secrets.fly,
    ...registries.passwordsOf(app),
  ]
  return { vault: new Vault(store, sealing), registries, loginTester, resealing, hiddenValues }
}
