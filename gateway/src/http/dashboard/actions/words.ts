import type { Deployment } from '#api/deployment.ts'
import type { MachineView } from '#api/machines/machine-facts.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'

export type Target = { app: string; owner: string | null }
export type Named = Target & Pick<Deployment, 'id' | 'number'>

export const targetText = ({ app, owner }: Target): string =>
  owner === null ? app : `${app} for ${owner}`

export const deploymentName = ({ app, number }: Named): string => `${app} #${number}`

/** The machines that an action concerns, as Fly has them now. */
export const machinesText = ({ commands, caller }: PageContext, target: Target): Promise<Html> =>
  partOf(commands.machines.list(caller, target.app), (all) => {
    const own = ownOf(all, target)
    return own.length === 0
      ? html`<p>${targetText(target)} has no machines yet: they are made.</p>`
      : html`<p>
          Machines:
          ${own.map(({ id, region, state }, at) => html`${at > 0 && ', '}<code>${id}</code> (${region}, ${state})`)}.
        </p>`
  })

/** An owner's machines are not the app's own. */
const ownOf = (all: MachineView[], { owner }: Target): MachineView[] =>
  all.filter((machine) => machine.owner === owner)

/** The newest release of a target. Null: it has none. */
export async function newestRelease({ commands, caller }: PageContext, { app, owner }: Target) {
  const page = { limit: 1, before: null }
  const { releases } = await commands.releases(caller, { app, owner }, page)
  return releases[0] ?? null
}
