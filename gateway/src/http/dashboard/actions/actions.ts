import type { Action, Page } from '../parts/page.ts'
import { cancelDeployment, cancelPage } from './cancel-page.ts'
import { deployElsewhere, deployElsewherePage } from './deploy-elsewhere-page.ts'
import { deployImage, deployImagePage } from './deploy-image-page.ts'
import { dropCache, dropCachePage } from './drop-cache-page.ts'
import { changeMachine } from './machine-power.ts'
import { retryDeployment, retryPage } from './retry-page.ts'
import { rollBack, rollbackPage } from './rollback-page.ts'

/** Pages that ask before they act on a deployment or an app. Each sends its form to its own address. */
export const ownActionPages: Page[] = [
  cancelPage,
  retryPage,
  deployElsewherePage,
  deployImagePage,
  rollbackPage,
  dropCachePage,
]

export const ownActions: Action[] = [
  cancelDeployment,
  retryDeployment,
  deployElsewhere,
  deployImage,
  rollBack,
  changeMachine,
  dropCache,
]
