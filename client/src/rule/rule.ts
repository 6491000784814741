import { z } from 'zod'
import { ListedRule, type NewRule, Rule } from '#api/callers/rule.ts'
import { fill, routes } from '#api/routes.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { readAnswer } from '../answers.ts'
import { askGateway } from '../builder/ask-gateway.ts'
import type { Connection } from '../connection.ts'
import type { Printer } from '../print.ts'
import { lookUpIds } from './look-up-ids.ts'
import type { RuleRequest } from './read-rule.ts'

const withinMs = 30_000
const Rules = z.object({ rules: z.array(ListedRule) })
const AddedRule = Rule.extend({ notes: z.array(z.string()).optional() })

type Command = Connection & { request: RuleRequest }

/** Lists, adds or removes the rules for callers without a secret of the gateway. */
export async function rules(
  { request, ...connection }: Command,
  printer: Pick<Printer, 'note' | 'result'>,
  signal: AbortSignal,
): Promise<number> {
  if (request.verb === 'list') {
    const answer = await askGateway(connection, { path: routes.rules, withinMs }, signal)
    const list = readAnswer(Rules, answer)
    return printer.result(list, listText(list.rules))
  }
  if (request.verb === 'remove') {
    const path = fill(routes.rule, { name: request.rule })
    await askGateway(connection, { path, method: 'DELETE', withinMs }, signal)
    return printer.result({ removed: request.rule }, [
      `removed rule ${request.rule}; its callers are refused from now on`,
    ])
  }

  const { preset } = request
  const body = await byIds(request, printer)
  const answer = await askGateway(connection, { path: routes.rules, body, withinMs }, signal)
  const rule = readAnswer(AddedRule, answer)
  const gateway = connection.gateway.href.replace(/\/$/, '')
  const next = preset?.next(gateway, rule.aud ?? '') ?? []
  return printer.result(rule, [...ruleText(rule), ...next, ...(rule.notes ?? [])])
}

/** The rule with the ids of its repository. By name, with a warning, if they cannot be looked up. */
async function byIds(
  { rule, preset }: Extract<RuleRequest, { verb: 'add' }>,
  { note }: Pick<Printer, 'note'>,
): Promise<NewRule> {
  const lookUp = preset?.lookUp
  if (!lookUp) return rule
  const claims = await lookUpIds(lookUp, rule.claims, process.env)
  if (claims) return { ...rule, claims }
  const [token, id] =
    lookUp.kind === 'github' ? ['GH_TOKEN', 'repository_id'] : ['GITLAB_TOKEN', 'project_id']
  note(
    `The ids of ${lookUp.path} could not be looked up, so the rule goes by its name. If the name is given up, somebody else can take it. To pin the id: set ${token}, or add --claim ${id}=NUMBER.`,
  )
  return rule
}

const ruleText = ({ name, issuer, aud, claims, scopes, ...where }: Rule): string[] => [
  `added rule ${name}`,
  `  may       ${scopes.join(', ')}: ${whereText(where)}`,
  `  issuer    ${issuer}`,
  ...(aud === null ? [] : [`  audience  ${aud}`]),
  ...Object.entries(claims).map(
    ([claim, patterns], at) =>
      `  ${at === 0 ? 'claims  ' : '        '}  ${claim} = ${patterns.join(' or ')}`,
  ),
]

const whereText = ({ apps, owners, team }: Pick<Rule, 'apps' | 'owners' | 'team'>): string =>
  [
    apps === null ? 'all apps' : apps.join(', '),
    ...(owners === null ? [] : [`owners ${owners.join(', ')}`]),
    ...(team === null ? [] : [`team ${team}`]),
  ].join('; ')

function listText(list: ListedRule[]): string[] {
  if (list.length === 0)
    return ['no rules; to add one: tarmac rule add --github OWNER/REPO --app APP']
  const rows = list.map((rule) => [
    rule.name,
    rule.scopes.join(','),
    whereText(rule),
    rule.issuer.replace('https://', ''),
    rule.lastUsedAt === null ? 'never' : minuteOf(rule.lastUsedAt),
    rule.origin === 'settings' ? 'settings' : `${rule.createdAt?.slice(0, 10)} ${rule.createdBy}`,
  ])
  const all = [['RULE', 'MAY', 'APPS', 'ISSUER', 'LAST USE (UTC)', 'ADDED'], ...rows]
  return table(all, [])
}
