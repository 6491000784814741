import { Whoami } from '#api/callers/whoami.ts'
import { routes } from '#api/routes.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'

/** Shows who the caller is for the gateway. */
export async function whoami(
  address: URL,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const me = readAnswer(Whoami, await gateway.ask('GET', routes.whoami, signal))
  return printer.result({ ...me }, whoamiLines(me, address))
}

export function whoamiLines(me: Whoami, address: URL): string[] {
  const rows = [
    ['proved by', me.provedBy],
    ...(me.tokenId === null ? [] : [['token', me.tokenId]]),
    [
      'may',
      me.isLink ? 'make one deployment, and read that one' : me.scopes.join(', ') || 'nothing',
    ],
    ['apps', listText(me.apps, me.teams === null ? 'all' : 'all of its teams')],
    ...(me.owners === null ? [] : [['owners', listText(me.owners, 'all')]]),
    ['teams', listText(me.teams, 'all')],
    ['until', me.expiresAt === null ? 'no end' : `${minuteOf(me.expiresAt)} UTC`],
    ['from', me.address ?? 'not known'],
    ['gateway', address.href.replace(/\/$/, '')],
  ]
  return [me.name, ...rows.map(([title = '', text = '']) => `  ${title.padEnd(11)}${text}`)]
}

const listText = (names: string[] | null, all: string): string =>
  names === null ? all : names.join(', ') || 'none'
