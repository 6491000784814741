import { auditPage } from './audit/audit-page.ts'
import { builderPage } from './builder/builder-page.ts'
import { removeAppCache, runDoctor } from './builder/builder-actions.ts'
import { buildPage } from './build/build-page.ts'
import { comparePage } from './build/compare-page.ts'
import { callersPage } from './callers/callers-page.ts'
import { removeRule } from './callers/rules-part.ts'
import { addRule } from './callers/new-rule-form.ts'
import { changeQuotas } from './callers/quotas-part.ts'
import { changeTeam, createTeam, removeTeam } from './callers/team-actions.ts'
import { teamPage } from './callers/team-page.ts'
import { createToken, revokeToken, rotateToken } from './callers/token-actions.ts'
import { tokenPage } from './callers/token-page.ts'
import { destroyOwner, powerOwner } from './owners/owner-actions.ts'
import { moveOwner, moveOwnerPage } from './owners/move-page.ts'
import { ownersPage } from './owners/owners-page.ts'
import { deployRouter, removeRouter } from './routers/router-actions.ts'
import { routerPage } from './routers/router-page.ts'
import { routersPage } from './routers/routers-page.ts'
import { filesPage } from './deployment/files-page.ts'
import { deploymentsPage } from './deployments/deployments-page.ts'
import { acceptDrift, driftPage } from './drift/drift-page.ts'
import type { Action, Page } from './parts/page.ts'
import { changePower, destroyPreview, extendPreview } from './previews/preview-actions.ts'
import { previewPage } from './previews/preview-page.ts'
import { previewsPage } from './previews/previews-page.ts'
import { endDrain, startDrain } from './queue/drain-part.ts'
import { pauseQueue, resumeQueue } from './queue/pause-part.ts'
import { goFirst } from './queue/waiting-table.ts'
import { queuePage } from './queue/queue-page.ts'
import { cancelRollout, rolloutPage } from './rollouts/rollout-page.ts'
import { rolloutsPage } from './rollouts/rollouts-page.ts'

/** Pages about all apps, about builds, or about the gateway itself. */
export const boardPages: Page[] = [
  deploymentsPage,
  queuePage,
  previewsPage,
  previewPage,
  rolloutsPage,
  rolloutPage,
  callersPage,
  tokenPage,
  teamPage,
  auditPage,
  builderPage,
  driftPage,
  ownersPage,
  moveOwnerPage,
  routersPage,
  routerPage,
  buildPage,
  comparePage,
  filesPage,
]

export const boardActions: Action[] = [
  pauseQueue,
  resumeQueue,
  goFirst,
  startDrain,
  endDrain,
  extendPreview,
  changePower,
  destroyPreview,
  cancelRollout,
  createToken,
  revokeToken,
  rotateToken,
  addRule,
  removeRule,
  createTeam,
  changeTeam,
  changeQuotas,
  removeTeam,
  removeAppCache,
  runDoctor,
  acceptDrift,
  powerOwner,
  destroyOwner,
  moveOwner,
  deployRouter,
  removeRouter,
]
