import type { MachinesApi } from '#fly/machines-api.ts'
import type { BuilderApi } from '#fly/builder-api.ts'
import type { Buildkit } from '../buildkit/client.ts'
import type { StatusDeps } from '../commands/status.ts'
import type { Config } from '../config.ts'
import type { OwnMachine } from '../host/own-machine.ts'

/** What the probes of the gateway use. */
export type DoctorParts = {
  config: Config
  fly: Pick<MachinesApi, 'checkOrg' | 'checkToken' | 'machineLog' | 'ipAssignments'>
  tokens: Pick<BuilderApi, 'tokens' | 'mayMakeApps'>
  /** Null: the machine is not one of Fly's. */
  own: OwnMachine | null
  /** Null: there is no gateway whose daemon could be asked. */
  buildkit: Buildkit | null
  status: StatusDeps
}

/** What a caller asks for. `app`: whose repository is tried; default: the gateway's own. */
export type DoctorChoice = { app: string | null; push: boolean }

export const notOnFly = 'this machine is not one of Fly’s'
