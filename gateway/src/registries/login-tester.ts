import type { RegistryAddress } from '#api/registries/address.ts'
import type { LoginTest } from '#api/registries/registry.ts'
import { checkLogin } from '../registry/login-check.ts'
import { assertMayBePublic, namedHosts, publicAgent } from '../registry/public-agent.ts'
import { Redactor } from '../secrets/redaction/redactor.ts'

type Settings = Parameters<typeof namedHosts>[0]
type Wanted = {
  at: RegistryAddress
  username: string
  password: string
  image: { repository: string; reference: string } | null
}

/** A person waits for the verdict. */
const testMs = 20_000

/** Tries logins at registries that callers name. */
export class LoginTester {
  readonly #settings: Settings
  readonly #named: ReadonlySet<string>

  constructor(settings: Settings) {
    this.#settings = settings
    this.#named = namedHosts(settings)
  }

  /** Throws `registry-address-forbidden` for a host that is certainly in a private network. */
  assertMayBePublic(host: string): void {
    assertMayBePublic(host, this.#named)
  }

  async test({ at: { host }, username, password, image }: Wanted): Promise<LoginTest> {
    const { plainHttp } = this.#settings
    const agent = publicAgent(this.#named)
    try {
      const question = { host, login: { username, password }, image }
      const { verdict, detail } = await checkLogin(
        question,
        { agent, plainHttp },
        AbortSignal.timeout(testMs),
      )
      const name = image && `${host}/${image.repository}`
      const separator = image?.reference.includes(':') ? '@' : ':'
      return {
        at: new Date().toISOString(),
        verdict,
        // A registry may repeat what it got.
        detail: new Redactor([password]).redact(detail),
        image: image && `${name}${separator}${image.reference}`,
      }
    } finally {
      await agent.destroy()
    }
  }
}
