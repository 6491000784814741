import { createInterface } from 'node:readline/promises'
import { DestroyedOwner, Owner, OwnerPage } from '#api/owners/owner.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import { deployImage } from '../image/image.ts'
import { wrongUse } from '../option.ts'
import type { Printer } from '../print.ts'
import type { OwnerRequest } from './read-owners.ts'
import { destroyedLines, endText, ownerFacts, ownerLines, stateText } from './render-owners.ts'

type Calling = { gateway: Gateway; printer: Printer; signal: AbortSignal }
type Destroy = Extract<OwnerRequest, { verb: 'destroy' }>

/** Runs `tarmac owners` and `tarmac owner`. Returns the exit code. */
export async function owners(request: OwnerRequest, calling: Calling): Promise<number> {
  const { gateway, printer, signal } = calling
  const { app } = request
  switch (request.verb) {
    case 'list': {
      const path = `${fill(routes.owners, { app })}?${request.query.toString()}`
      const page = readAnswer(OwnerPage, await gateway.ask('GET', path, signal))
      return printer.result(page, ownerLines(app, page))
    }
    case 'show': {
      const owner = await find(request, calling)
      return printer.result({ owner }, ownerFacts(owner))
    }
    case 'stop':
    case 'start':
    case 'suspend': {
      const path = fill(routes.ownerAction, { app, owner: request.owner, action: request.verb })
      const owner = readAnswer(Owner, await gateway.ask('POST', path, signal))
      return printer.result({ owner }, [stateText(owner)])
    }
    case 'move':
      return deployImage(request, gateway, printer, signal)
    case 'destroy':
      return destroy(request, calling)
  }
}

const find = async ({ app, owner }: { app: string; owner: string }, { gateway, signal }: Calling) =>
  readAnswer(Owner, await gateway.ask('GET', fill(routes.owner, { app, owner }), signal))

async function destroy(request: Destroy, calling: Calling): Promise<number> {
  const { gateway, printer, signal } = calling
  const { app, owner, volumes } = request
  if (!request.yes) await confirm(endText(await find(request, calling), volumes === 'keep'))
  const path = `${fill(routes.owner, { app, owner })}?volumes=${volumes}`
  const gone = readAnswer(DestroyedOwner, await gateway.ask('DELETE', path, signal))
  return printer.result({ destroyed: gone }, destroyedLines(gone))
}

/** Asks on a terminal. Throws without one, and without a yes. */
async function confirm(text: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw wrongUse(`${text} There is no terminal to ask on. To do it: --yes.`)
  // Not as a terminal: Ctrl-C must be a signal.
  const asking = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    const answer = await asking.question(`${text} Go on (y), or not (Enter)? `)
    if (/^y/i.test(answer)) return
  } finally {
    asking.close()
  }
  throw new Problem('cancelled', 'Stopped. Nothing was changed.')
}
