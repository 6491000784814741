import { expect, test } from 'vitest'
import { Random } from '../../lab/soak/random.ts'
import { type Call, Facts, randomCall } from '../../lab/soak/callers/calls.ts'
import { Judge } from '../../lab/soak/callers/judge.ts'
import {
  type Model,
  type Person,
  type Proof,
  rightAnswers,
  type Secret,
} from '../../lab/soak/callers/rights.ts'

const person = (id: string, more: Partial<Person> = {}): Person => ({
  kind: 'token',
  name: `token:${id}`,
  id,
  scopes: ['read'],
  apps: null,
  owners: null,
  team: null,
  secrets: [{ text: id, until: Infinity }],
  expiresAt: Infinity,
  isRevoked: false,
  maker: null,
  createdBy: 'operator',
  used: null,
  ...more,
})
const modelOf = (...people: Person[]): Model => ({
  people: new Map(people.map((each) => [each.id, each])),
  members: new Map([['acme', new Set(['token:ann'])]]),
  everMembers: new Set(['token:ann', 'token:gone']),
  teamOf: new Map([
    ['red-app-1', 'acme'],
    ['red-app-2', 'default'],
  ]),
})
const reads = (app: string): Call => ({
  command: 'settings',
  changes: false,
  method: 'GET',
  path: `/v1/apps/${app}`,
  need: { scope: 'read', targets: [{ app, owner: null }], hidden: 'app-not-found' },
})
const by = (text: string): Proof => ({ by: 'secret', text })
const answers = (who: Person, call: Call, proof = by(who.id)) =>
  rightAnswers(modelOf(who), { who: who.id, proof, need: call.need }, 1000)

test('the soak knows the rules of teams, apps, owners and scopes', () => {
  const hidden = ['404 app-not-found']
  expect(answers(person('ann'), reads('red-app-1'))).toEqual(['allowed'])
  expect(answers(person('ann'), reads('red-app-2'))).toEqual(hidden)
  expect(answers(person('new'), reads('red-app-1'))).toEqual(hidden)
  expect(answers(person('new'), reads('red-app-2'))).toEqual(['allowed'])
  expect(answers(person('gone'), reads('red-app-2'))).toEqual(hidden)
  expect(answers(person('new', { apps: ['red-*'] }), reads('red-app-2'))).toEqual(['allowed'])
  expect(answers(person('new', { apps: ['blue-*'] }), reads('red-app-2'))).toEqual(hidden)
  expect(answers(person('new', { owners: ['ada'] }), reads('red-app-2'))).toEqual(hidden)
  expect(answers(person('new', { scopes: ['secrets'] }), reads('red-app-2'))).toEqual([
    '403 forbidden',
  ])
  expect(answers(person('new', { scopes: ['admin'] }), reads('red-app-1'))).toEqual(['allowed'])
})

test('the soak knows which proofs hold', () => {
  const secrets: Secret[] = [
    { text: 'new', until: Infinity },
    { text: 'old', until: 900 },
  ]
  const call = reads('red-app-2')
  expect(answers(person('ci', { secrets }), call, by('new'))).toEqual(['allowed'])
  expect(answers(person('ci', { secrets }), call, by('old'))).toEqual(['401 token-revoked'])
  expect(answers(person('ci', { secrets }), call, by('no'))).toEqual(['401 unauthorized'])
  expect(answers(person('ci', { isRevoked: true }), call)).toEqual(['401 token-revoked'])
  expect(answers(person('ci', { expiresAt: 999 }), call)).toEqual(['401 token-expired'])
})

test('the soak finds an act without right, a lost right, a wrong refusal and a name that is shown', () => {
  const judge = new Judge(modelOf(person('ann'), person('new')))
  const end = (who: string, call: Call, status: number, text: string) =>
    judge.end(judge.begin(who, by(who), call), {
      status,
      code: status < 400 ? '' : JSON.parse(text).code,
      text,
    })
  const problem = (code: string) => JSON.stringify({ code })
  end('ann', reads('red-app-1'), 200, '{}')
  end('new', reads('red-app-1'), 404, problem('app-not-found'))
  expect(judge.faults).toEqual([])

  end('new', reads('red-app-1'), 200, '{}')
  end('ann', reads('red-app-1'), 403, problem('forbidden'))
  end('new', reads('red-app-1'), 403, problem('forbidden'))
  end('new', reads('red-app-2'), 200, '{"next": "red-app-1"}')
  expect(judge.faults.map(({ kind }) => kind)).toEqual(['act', 'lost', 'wrong', 'seen'])
})

test('while a change is under way the soak accepts the answers before and after it', () => {
  const before = modelOf(person('ann'))
  const judge = new Judge(before)
  const call = reads('red-app-1')
  const asked = judge.begin('ann', by('ann'), call)
  judge.changes(modelOf(person('ann', { isRevoked: true })))
  expect([...asked.possible].toSorted()).toEqual(['401 token-revoked', 'allowed'])
  judge.changed(true)
  const later = judge.begin('ann', by('ann'), call)
  expect([...later.possible]).toEqual(['401 token-revoked'])
})

test('the random calls of a seed are always the same, and cover all commands of the soak', () => {
  const commands = () => {
    const facts = new Facts(['red-app-1', 'blue-app-2'], new Uint8Array())
    facts.deployments.push({ id: 'd1', app: 'red-app-1', owner: null })
    facts.rollouts.push({ id: 'r1', targets: [{ app: 'red-app-1', owner: null }] })
    facts.machines.set('red-app-1', 'm1')
    const random = new Random(1, 'calls')
    return Array.from({ length: 2000 }, () => randomCall(facts, random).command)
  }
  expect(commands()).toEqual(commands())
  expect(new Set(commands()).size).toBeGreaterThanOrEqual(35)
})
