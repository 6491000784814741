import { assignAddress, createVolume, extendVolume, setSecrets } from './change-app.ts'
import {
  buildImage,
  createMachine,
  destroyMachine,
  settle,
  startMachine,
  updateMachine,
} from './change-machine.ts'
import type { Step } from './plan.ts'
import type { Run } from './run.ts'

type Doable = Exclude<Step, { do: 'create-app' | 'verify' }>

/** Does one step, and looks at what it changed. */
export function carryOut(run: Run, step: Doable): Promise<void> {
  const app = run.app!
  switch (step.do) {
    case 'assign-address':
      return assignAddress(run, app)
    case 'set-secrets':
      return setSecrets(run, app, step.names)
    case 'build-image':
      return buildImage(run, app, step)
    case 'create-volume':
      return createVolume(run, app, step)
    case 'extend-volume':
      return extendVolume(run, app, step)
    case 'create-machine':
      return createMachine(run, app, step)
    case 'update-machine':
      return updateMachine(run, app, step)
    case 'destroy-machine':
      return destroyMachine(run, app, step)
    case 'settle':
      return settle(run, app, step.machine)
    case 'start-machine':
      return startMachine(run, app, step.machine)
  }
}
