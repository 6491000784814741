import { Problem } from '#api/problem.ts'
import { noDeployment } from '../deployments.ts'
import { sourceGone } from '../existing-image.ts'
import { noPreview } from '../previews/find-preview.ts'
import { noRollout } from '../rollouts.ts'
import type { Lookups, Reached } from './row.ts'

// What rows of the table have in common.

/** The answer for an app that the caller may not see. The name may still be taken on Fly. */
export const noApp = (app: string) =>
  new Problem(
    'app-not-found',
    `There is no app ${app.slice(0, 100)} that the caller may use. To list those that it may: tarmac apps`,
  )

export const read = { scope: 'read', changes: false } as const
export const preview = { scope: 'preview', changes: true } as const
export const exec = { scope: 'exec', changes: true } as const
export const deploy = { scope: 'deploy', changes: true } as const
export const secrets = { scope: 'secrets', changes: false } as const
export const changeSecrets = { scope: 'secrets', changes: true } as const
export const administer = { scope: 'admin', changes: true } as const
/** For commands that make the one deployment of a deploy link. */
export const makes = { ofLink: () => true }

/** For what is checked before the upload of a command that may make new apps. */
export const makesSoon = (early: string) => ({ changes: false, creates: true, early }) as const

/** For commands whose first argument is an app's name. */
export const byApp = {
  targets: ([app]: [string, ...unknown[]]) => [{ app, owner: null }],
  missing: ([app]: [string, ...unknown[]]) => noApp(app),
}
/** For commands whose first argument has the app and the owner. */
export const byTarget = {
  targets: ([target]: [Reached, ...unknown[]]) => [target],
  missing: ([{ app }]: [Reached, ...unknown[]]) => noApp(app),
}
/** For commands whose first argument has the app, and the owner in its options. */
export const bySubmission = {
  targets: ([{ app, options }]: [Submission]) => [{ app, owner: options.owner }],
  missing: ([{ app }]: [Submission]) => noApp(app),
}
type Submission = { app: string; options: { owner: string | null } }
/** For commands whose first argument is the id of a deployment. */
export const byDeployment = {
  async targets([id]: [string, ...unknown[]], find: Lookups) {
    const found = await find.deployment(id)
    return found && [found]
  },
  missing: ([id]: [string, ...unknown[]]) => noDeployment(id),
}
/** For commands that may need the source of a deployment. */
export const ofKeptSource = {
  useless: async ([id, { reuseImage }]: [string, { reuseImage: boolean }], find: Lookups) =>
    !reuseImage && (await find.isSourceGone(id)) ? sourceGone(id) : null,
}
/** For commands that read a deployment: a deploy link reads the one that it made. */
export const reads = {
  ...byDeployment,
  ofLink: ([id]: [string, ...unknown[]], own: string | null) => id === own,
}
/** For commands whose first argument is the id of a rollout: the caller must see all its targets. */
export const byRollout = {
  targets: ([id]: [string, ...unknown[]], find: Lookups) => find.rollout(id),
  missing: ([id]: [string, ...unknown[]]) => noRollout(id),
}

/** For commands whose first argument is the id of a preview. */
export const byPreview = {
  async targets([id]: [string, ...unknown[]], find: Lookups) {
    const found = await find.preview(id)
    return found && [found]
  },
  missing: ([id]: [string, ...unknown[]]) => noPreview(id),
}

export const listOf = <T>(value: T | null): T[] => (value === null ? [] : [value])
