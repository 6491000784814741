import { Problem } from '#api/problem.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import type { Action } from '../parts/page.ts'

export const createTeam: Action = {
  path: addresses.createTeam,
  async act({ commands, caller }, form) {
    const { name } = await commands.teams.create(caller, form.get('name')?.trim() ?? '')
    return addressOf('team', { team: name })
  },
}

const changes = ['addMember', 'removeMember', 'addApp', 'removeApp'] as const

export const changeTeam: Action = {
  path: addresses.changeTeam,
  async act({ commands, caller, params }, form) {
    const team = params['team'] ?? ''
    const change = changes.find((each) => each === form.get('what'))
    if (!change) throw new Problem('form-invalid', 'The form does not say what to change.')
    await commands.teams[change](caller, team, form.get('name')?.trim() ?? '')
    return addressOf('team', { team })
  },
}

export const removeTeam: Action = {
  path: addresses.removeTeam,
  async act({ commands, caller, params }) {
    await commands.teams.remove(caller, params['team'] ?? '')
    return addressOf('callers')
  },
}
