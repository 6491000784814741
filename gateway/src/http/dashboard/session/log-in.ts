import type { Request, Response } from 'express'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../../commands/commands.ts'
import type { Prove } from '../../auth.ts'
import { addresses } from '../parts/addresses.ts'
import type { Action } from '../parts/page.ts'
import { readForm } from '../forms/read-form.ts'
import { setSession } from './cookie.ts'
import { assertOwnOrigin } from './form-key.ts'
import { ownPage } from './login-page.ts'

/** `POST /ui/login`: gives the browser a session for the token of the form. */
export async function logIn(
  request: Request,
  response: Response,
  { commands, prove }: { commands: Pick<Commands, 'sessions'>; prove: Prove },
): Promise<void> {
  assertOwnOrigin(request)
  const form = await readForm(request, response)
  const token = form.get('token')?.trim() ?? ''
  if (token === '') throw new Problem('unauthorized', 'Enter a token.')
  const caller = await prove(request, token).catch(inWords)
  const session = await commands.sessions.open(caller, token)
  response.setHeader('Set-Cookie', setSession(request, session))
  response.redirect(303, ownPage(form.get('next')))
}

/** The API's answer names a header, which a person at a form does not send. */
function inWords(error: unknown): never {
  const isUnknown = error instanceof Problem && error.code === 'unauthorized'
  if (!isUnknown) throw error
  throw new Problem(
    'unauthorized',
    'This gateway does not know the token. Check that it is whole, and that it is for this gateway.',
  )
}

export const logOut: Action = {
  path: addresses.logout,
  async act({ commands, caller, session }) {
    if (session !== null) await commands.sessions.end(caller, session)
    return { next: addresses.login, endsSession: true }
  },
}

export const logOutEverywhere: Action = {
  path: addresses.logoutEverywhere,
  async act({ commands, caller }) {
    await commands.sessions.endAll(caller)
    return { next: addresses.login, endsSession: true }
  },
}
