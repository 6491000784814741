import type { z } from 'zod'
import { MadeToken, RevokedToken, type TokenFacts, TokenPage } from '#api/callers/token.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { askGateway } from '../builder/ask-gateway.ts'
import type { Printer } from '../print.ts'
import type { TokenCommand } from './read-token.ts'
import { linkLines, madeLine, tokenTable } from './token-text.ts'

const withinMs = 30_000
type Call = Omit<Parameters<typeof askGateway>[1], 'withinMs'>

/** Makes, lists, revokes and rotates tokens. Returns the exit code. */
export async function token(
  { request, ...connection }: TokenCommand,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const ask = async <T>(schema: z.ZodType<T>, call: Call): Promise<T> =>
    read(schema, await askGateway(connection, { ...call, withinMs }, signal))

  switch (request.verb) {
    case 'create': {
      const made = await ask(MadeToken, { path: routes.tokens, body: request.body })
      for (const line of [madeLine(made), ...(made.notes ?? [])]) printer.note(line)
      return printer.result(made, [made.token])
    }
    case 'link': {
      const path = fill(routes.deployLink, { app: request.app })
      const made = await ask(MadeToken, { path, body: request.body })
      for (const line of linkLines(made, request.app, connection.gateway)) printer.note(line)
      return printer.result(made, [made.token])
    }
    case 'list': {
      const tokens = await allTokens((path) => ask(TokenPage, { path }), request.all)
      return printer.result({ tokens }, tokenTable(tokens))
    }
    case 'revoke': {
      const path = fill(routes.token, { token: request.token })
      const { stillValid, ...facts } = await ask(RevokedToken, { path, method: 'DELETE' })
      const lines = [`revoked ${facts.name} (${facts.id})`]
      if (stillValid.length > 0)
        lines.push(`it made these tokens, which go on: ${stillValid.join(', ')}`)
      return printer.result({ ...facts, stillValid }, lines)
    }
    case 'rotate': {
      const path = fill(routes.rotateToken, { token: request.token })
      const made = await ask(MadeToken, { path, body: request.body })
      printer.note(madeLine(made))
      return printer.result(made, [made.token])
    }
  }
}

async function allTokens(
  page: (path: string) => Promise<TokenPage>,
  all: boolean,
): Promise<TokenFacts[]> {
  const found: TokenFacts[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const query = new URLSearchParams({ limit: '100', all: String(all), ...(cursor && { cursor }) })
    const { tokens, next } = await page(`${routes.tokens}?${query.toString()}`)
    found.push(...tokens)
    cursor = next
  }
  return found
}

function read<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new Problem(
    'not-ready',
    'The gateway answers about tokens in another way than this client expects.',
  )
}
