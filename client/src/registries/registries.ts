import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import { Registry } from '#api/registries/registry.ts'
import { fill, routes } from '#api/routes.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { readAnswer } from '../answers.ts'
import { askGateway } from '../builder/ask-gateway.ts'
import type { Printer } from '../print.ts'
import { type Inputs, processInputs } from '../runtime/read-values.ts'
import { readPassword } from './read-password.ts'
import type { RegistriesCommand } from './read-registries.ts'

/** The gateway asks the registry, for 20 s at most. */
const withinMs = 60_000
const List = z.object({ registries: z.array(Registry) })
type Call = Omit<Parameters<typeof askGateway>[1], 'withinMs'>

/** Lists, adds, tests, rotates and removes logins at registries. Returns the exit code. */
export async function registries(
  { request, ...connection }: RegistriesCommand,
  printer: Pick<Printer, 'result'>,
  signal: AbortSignal,
  inputs: Inputs = processInputs,
): Promise<number> {
  const ask = async (call: Call) =>
    readAnswer(Registry, await askGateway(connection, { ...call, withinMs }, signal))

  switch (request.verb) {
    case 'list': {
      const call = { path: routes.registries, withinMs }
      const list = readAnswer(List, await askGateway(connection, call, signal))
      return printer.result(list, listText(list.registries))
    }
    case 'add': {
      const { address, username } = request
      const whose = `Password of ${username} at ${address}`
      const password = await readPassword(request.password, whose, inputs)
      const body = { ...request.body, address, username, password }
      const added = await ask({ path: routes.registries, body })
      const whom = added.team === null ? 'all apps' : `the apps of team ${added.team}`
      return printer.result(added, [
        `added ${named(added)} for ${username}; ${whom} may use it`,
        verdictText(added),
      ])
    }
    case 'test': {
      const path = fill(routes.testRegistry, { registry: request.login })
      const tested = await ask({ path, body: request.body })
      const { verdict, detail = '' } = tested.lastTest ?? {}
      if (verdict !== 'works')
        throw new Problem('registry-login-refused', `${named(tested)}: ${detail}`, {
          facts: { id: tested.id, verdict },
        })
      return printer.result(tested, [`${named(tested)} works: ${detail}`])
    }
    case 'rotate': {
      const path = fill(routes.registry, { registry: request.login })
      const whose = `New password of ${request.login}`
      const password = await readPassword(request.password, whose, inputs)
      const rotated = await ask({ path, method: 'PUT', body: { ...request.body, password } })
      return printer.result(rotated, [
        `replaced the password of ${named(rotated)}`,
        verdictText(rotated),
      ])
    }
    case 'remove': {
      const path = fill(routes.registry, { registry: request.login })
      const removed = await ask({ path, method: 'DELETE' })
      return printer.result(removed, [`removed ${named(removed)}; builds no longer use it`])
    }
  }
}

const named = ({ address, id }: Registry) => `${address} (${id})`

const verdictText = ({ id, lastTest }: Registry): string =>
  lastTest?.detail ?? `not tested; to do it: tarmac registries test ${id}`

function listText(list: readonly Registry[]): string[] {
  if (list.length === 0)
    return [
      'no logins at registries; to add one: tarmac registries add ghcr.io/OWNER --username NAME',
    ]
  const rows = list.map(({ id, address, username, team, lastTest, lastUsedAt }) => [
    id,
    address,
    username,
    team ?? 'all',
    lastTest ? `${minuteOf(lastTest.at)} ${lastTest.verdict}` : 'never',
    lastUsedAt === null ? 'never' : minuteOf(lastUsedAt),
  ])
  const head = ['ID', 'ADDRESS', 'USERNAME', 'TEAM', 'TESTED (UTC)', 'LAST USED (UTC)']
  return table([head, ...rows], [])
}
