import { defaultTeam, type Team } from '#api/callers/teams.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { textField } from '../forms/fields.ts'
import { button, confirmForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { section, table } from '../parts/tables.ts'
import { quotasPart } from './quotas-part.ts'

/** One team: its members, its apps, and what it may use. */
export const teamPage: Page = {
  path: addresses.team,
  section: 'callers',
  assets: ['boards.css'],
  async show(context) {
    const { commands, caller, params } = context
    const team = await commands.teams.show(caller, params['team'] ?? '')
    return {
      title: `Team ${team.name}`,
      body: html`<p class="crumbs"><a href="${addressOf('callers')}">Callers</a></p>
        <h1>Team ${team.name}</h1>
        ${team.members && section('members', 'Members', membersPart(context, team.name, team.members))}
        ${section('apps', 'Apps', appsPart(context, team))}
        ${section('quotas', 'What it may use', await quotasPart(context, team))}
        ${section('remove', 'Delete', removal(context, team))}`,
    }
  },
}

const membersPart = (context: PageContext, team: string, members: string[]): Html =>
  namesPart(context, team, {
    names: members.map((name) => ({ name, shown: html`${name}`, isRemovable: true })),
    head: 'Member',
    remove: {
      what: 'removeMember',
      label: 'Remove…',
      text: 'Without another team it sees no app from its next call on.',
    },
    add: {
      what: 'addMember',
      label: 'Add a member…',
      text: 'A caller by its name, as token:ci. It sees the apps of the team from its next call on.',
    },
  })

const appsPart = (context: PageContext, { name: team, apps }: Team): Html =>
  namesPart(context, team, {
    names: apps.map((name) => ({
      name,
      shown: appLink(name),
      isRemovable: team !== defaultTeam,
    })),
    head: 'App',
    remove: {
      what: 'removeApp',
      label: 'Remove…',
      text: 'It becomes an app of the team default, and members of this team see it no longer.',
    },
    add: {
      what: 'addApp',
      label: 'Add an app…',
      text: 'It is taken from its other team, whose members see it no longer.',
    },
  })

type Change = { what: string; label: string; text: string }
type Names = {
  names: { name: string; shown: Html; isRemovable: boolean }[]
  head: string
  remove: Change
  add: Change
}

/** Names of a team, with the forms that add one and remove each. */
const namesPart = (context: PageContext, team: string, { names, head, remove, add }: Names): Html =>
  html`${
    names.length > 0
      ? table(
          `${head}s`,
          [head, 'Remove'],
          names.map(({ name, shown, isRemovable }) => [
            shown,
            isRemovable ? changeForm(context, team, remove, name) : '',
          ]),
        )
      : html`<p>None.</p>`
  }
  ${changeForm(context, team, add, null)}`

/** `name` null: the reader types it. */
const changeForm = (
  context: PageContext,
  team: string,
  { what, label, text }: Change,
  name: string | null,
): Html =>
  confirmForm(
    context,
    {
      id: name === null ? what : `${what}-${name}`,
      label,
      action: addressOf('changeTeam', { team }),
      fixed: { what, ...(name !== null && { name }) },
    },
    (typed) =>
      html`<p>${text}</p>
        ${name === null && textField(typed, { name: 'name', label: 'Name', required: true, maxlength: 200, codes: nameCodes })}
        ${button(label.replace('…', ''))}`,
  )

const nameCodes = ['team-invalid', 'app-not-found', 'app-name-invalid'] as const

const removal = (context: PageContext, { name, apps }: Team): Html =>
  confirmForm(
    context,
    {
      id: 'remove-team',
      label: 'Delete the team…',
      action: addressOf('removeTeam', { team: name }),
    },
    html`<p>Its members are in it no longer, and its quotas end.</p>
      ${button('Delete it', removalRefusal(name, apps))}`,
  )

function removalRefusal(name: string, apps: string[]): string | null {
  if (name === defaultTeam) return 'The team default is always there.'
  return apps.length > 0 ? 'It has apps.' : null
}
