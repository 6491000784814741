import type { Team, TeamList } from '#api/callers/teams.ts'
import { someOf } from '#api/text/some-of.ts'
import { addressOf } from '../parts/addresses.ts'
import { textField } from '../forms/fields.ts'
import { button, confirmForm } from '../parts/form.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'

const namesShown = 5

export const teamsPart = (context: PageContext, { teams }: TeamList): Html =>
  html`${
    teams.length > 0
      ? teamsTable(teams)
      : firstCommand(
          'There are none: all callers and apps are in one. A team keeps its apps and callers apart.',
          context.gateway,
          'tarmac team create my-team',
        )
  }
  ${confirmForm(
    context,
    { id: 'new-team', label: 'Make a team…', action: addressOf('createTeam') },
    (typed) =>
      html`<p>
          The team has no apps and no members yet. Callers that are in no team see only the apps of
          the team default.
        </p>
        ${textField(typed, { name: 'name', label: 'Name', required: true, maxlength: 40, codes: ['team-exists', 'team-invalid'] })}
        ${button('Make it')}`,
  )}`

const teamsTable = (teams: Team[]): Html =>
  table(
    'Teams',
    ['Team', 'Members', 'Apps', 'Quotas'],
    teams.map(({ name, members, apps, quotas }) => [
      html`<a href="${addressOf('team', { team: name })}">${name}</a>`,
      members === null ? '' : someOf(members, namesShown) || 'none',
      someOf(apps, namesShown) || 'none',
      quotas
        .filter(({ limit }) => limit !== null)
        .map(({ what, limit, used }) => `${used ?? '?'} of ${limit} ${what}`)
        .join(', ') || 'none',
    ]),
  )
