import { randomBytes } from 'node:crypto'
import {
  addressText,
  holdsRepository,
  readAddress,
  type RegistryAddress,
  registryHost,
} from '#api/registries/address.ts'
import type { LoginTest, NewRegistry, Registry } from '#api/registries/registry.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../callers/principal.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { imageName } from '../../llb/image-name.ts'
import { factsOf, type Registries } from '../../registries/registries.ts'
import type { LoginTester } from '../../registries/login-tester.ts'
import { administers, loginNamed, noLogin, teamOfNew } from './login-rights.ts'
import type { RegistryCommands } from './registry-commands.ts'

export type RegistryDeps = {
  registries: Registries
  loginTester: LoginTester
  store: Pick<DeploymentStore, 'teams'>
}

const mostLogins = 1000

/** The commands about logins at registries. */
export function openRegistries(deps: RegistryDeps): RegistryCommands {
  const { registries, loginTester } = deps
  const find = (caller: Principal, name: string) => loginNamed(registries.all(), caller, name)

  return {
    list: async (caller) =>
      registries
        .all()
        .filter(({ team }) => administers(caller, team))
        .map(factsOf),
    add: (caller, wanted) => add(deps, caller, wanted),

    async test(caller, name, { image }) {
      const found = find(caller, name)
      const password = registries.open(found)
      const { id, rotatedAt, username } = found
      const login = { at: found, username, password, image: imageAt(found, image) }
      const lastTest = await loginTester.test(login)
      await registries.noteTest({ id, rotatedAt, lastTest })
      return factsOf({ ...found, lastTest })
    },

    async rotate(caller, name, { username, password, image, test }) {
      const found = find(caller, name)
      const login = { at: found, username: username ?? found.username, password }
      const sealed = registries.seal(found, password)
      const lastTest = test ? await assertWorks(loginTester, login, image) : null
      const rotatedAt = new Date().toISOString()
      const next = { username: login.username, rotatedAt, lastTest, password: sealed }
      if (!(await registries.replace(found.id, next))) throw noLogin(name)
      return factsOf({ ...found, ...next })
    },

    async remove(caller, name) {
      const found = find(caller, name)
      if (!(await registries.remove(found.id))) throw noLogin(name)
      return factsOf(found)
    },
  }
}

async function add(
  { registries, loginTester, store }: RegistryDeps,
  caller: Principal,
  { username, password, ...wanted }: NewRegistry,
): Promise<Registry> {
  const at = readAddress(wanted.address)
  const team = teamOfNew(caller, wanted.team)
  if (team !== null && !store.teams.find(team))
    throw new Problem('team-not-found', `There is no team ${team.slice(0, 100)}.`)
  loginTester.assertMayBePublic(at.host)
  assertNew(registries.all(), { ...at, team })

  const id = `reg_${randomBytes(5).toString('hex')}`
  const sealed = registries.seal({ id, ...at }, password) // without a key, nothing is asked
  const login = { at, username, password }
  const lastTest = wanted.test ? await assertWorks(loginTester, login, wanted.image) : null
  const fresh = {
    id,
    ...at,
    username,
    team,
    createdAt: new Date().toISOString(),
    createdBy: caller.name,
    rotatedAt: null,
    lastTest,
    lastUsedAt: null,
    password: sealed,
  }
  if (!(await registries.add(fresh))) throw exists({ ...at, team })
  return factsOf(fresh)
}

/** Throws `registry-login-refused` unless the registry accepts the login. */
async function assertWorks(
  tester: LoginTester,
  login: { at: RegistryAddress; username: string; password: string },
  image: string | null,
): Promise<LoginTest> {
  const test = await tester.test({ ...login, image: imageAt(login.at, image) })
  if (test.verdict === 'works') return test
  throw new Problem('registry-login-refused', `${test.detail} Nothing was changed.`, {
    facts: { verdict: test.verdict },
  })
}

type Place = RegistryAddress & { team: string | null }

function assertNew(all: readonly Place[], place: Place): void {
  const isSame = (each: Place) =>
    each.host === place.host && each.prefix === place.prefix && each.team === place.team
  if (all.some(isSame)) throw exists(place)
  if (all.length >= mostLogins)
    throw new Problem(
      'registry-invalid',
      `The gateway keeps at most ${mostLogins} logins at registries. Remove those that nothing uses.`,
    )
}

const exists = ({ team, ...at }: Place) =>
  new Problem(
    'registry-exists',
    `There is a login for ${addressText(at)} and ${team === null ? 'all apps' : `the apps of team ${team}`} already. To replace its password: tarmac registries rotate ${addressText(at)}`,
  )

/** An image that the login is for. Throws `registry-invalid`. */
function imageAt(
  at: RegistryAddress,
  text: string | null,
): { repository: string; reference: string } | null {
  if (text === null) return null
  const name = imageName(text)
  const [, host = '', repository = '', tag = '', digest] =
    /^([^/@]+)\/([^:@]+)(?::([^:@/]+))?(?:@(\w+:\w+))?$/.exec(name ?? '') ?? []
  if (registryHost(host) === at.host && holdsRepository(at.prefix, repository))
    return { repository, reference: digest ?? tag }
  throw new Problem(
    'registry-invalid',
    `The image ${text.slice(0, 300)} is not one that this login is for. Give its whole name, as ${addressText(at)}/NAME:TAG.`,
  )
}
