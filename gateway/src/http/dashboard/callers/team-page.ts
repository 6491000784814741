import { defaultTeam, type Team } from '#api/callers/teams.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { appLink } from '../lists/deployment-link.ts'
import { button, confirmation, field, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { section, table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

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
        ${section('quotas', 'What it may use', quotasTable(team))}
        ${section('remove', 'Delete', removal(context, team))}`,
    }
  },
}

const membersPart = (context: PageContext, team: string, members: string[]): Html =>
  html`${
    members.length > 0
      ? table(
          'Members',
          ['Member', 'Remove'],
          members.map((member) => [
            member,
            changeForm(context, team, {
              what: 'removeMember',
              name: member,
              label: 'Remove…',
              text: 'Without another team it sees no app from its next call on.',
            }),
          ]),
        )
      : html`<p>None.</p>`
  }
  ${changeForm(context, team, {
    what: 'addMember',
    name: null,
    label: 'Add a member…',
    text: 'A caller by its name, as token:ci. It sees the apps of the team from its next call on.',
  })}`

const appsPart = (context: PageContext, { name, apps }: Team): Html =>
  html`${
    apps.length > 0
      ? table(
          'Apps',
          ['App', 'Remove'],
          apps.map((app) => [
            appLink(app),
            name === defaultTeam
              ? ''
              : changeForm(context, name, {
                  what: 'removeApp',
                  name: app,
                  label: 'Remove…',
                  text: 'It becomes an app of the team default, and members of this team see it no longer.',
                }),
          ]),
        )
      : html`<p>None.</p>`
  }
  ${changeForm(context, name, {
    what: 'addApp',
    name: null,
    label: 'Add an app…',
    text: 'It is taken from its other team, whose members see it no longer.',
  })}`

type Change = { what: string; name: string | null; label: string; text: string }

/** `name` null: the reader types it. */
const changeForm = (
  context: PageContext,
  team: string,
  { what, name, label, text }: Change,
): Html =>
  confirmation(
    name === null ? what : `${what}-${name}`,
    label,
    postForm(
      context,
      addressOf('changeTeam', { team }),
      html`<p>${text}</p>
        <input type="hidden" name="what" value="${what}" />
        ${
          name === null
            ? field('Name', html`<input name="name" required maxlength="200" autocomplete="off" />`)
            : html`<input type="hidden" name="name" value="${name}" />`
        }
        ${button(label.replace('…', ''))}`,
    ),
  )

const quotasTable = ({ quotas }: Team): Html =>
  table(
    'Quotas',
    ['Quota', 'Used', 'Limit', 'Starts again'],
    quotas.map(({ quota, what, limit, used, resetsAt, from }) => [
      quota,
      used ?? '',
      limit === null
        ? 'no limit'
        : html`${limit}
          ${what}${from === 'default' && html` <span class="quiet">(of the gateway)</span>`}`,
      limit === null || resetsAt === null ? '' : timeOf(resetsAt),
    ]),
  )

const removal = (context: PageContext, { name, apps }: Team): Html =>
  confirmation(
    'remove-team',
    'Delete the team…',
    postForm(
      context,
      addressOf('removeTeam', { team: name }),
      html`<p>Its members are in it no longer, and its quotas end.</p>
        ${button('Delete it', removalRefusal(name, apps))}`,
    ),
  )

function removalRefusal(name: string, apps: string[]): string | null {
  if (name === defaultTeam) return 'The team default is always there.'
  return apps.length > 0 ? 'It has apps.' : null
}
