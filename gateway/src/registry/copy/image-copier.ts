import type { Agent } from 'undici'
import type { ImageFacts } from '#api/deployment.ts'
import type { RequestedImage } from '#api/image-source.ts'
import { apiHost } from '#api/registries/address.ts'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { EventSink } from '../../deployments/event-sink.ts'
import { imageBuilder } from '../image-index.ts'
import { isAppsRepository, type Mirrors, placesOf } from '../image-places.ts'
import { speaksPlainHttp } from '../plain-http.ts'
import { assertMayBePublic, publicAgent } from '../public-agent.ts'
import type { Registry } from '../registry.ts'
import type { Login } from '../token-request.ts'
import { registryAgent } from '../transport.ts'
import type { Repository } from './blobs.ts'
import { copyBlobs, mb } from './copy-image.ts'
import { findImage, type FoundImage } from './find-image.ts'
import { type ImageReference, parseReference, referenceText } from '#api/image/reference.ts'
import { foreignRefusals, ownRefusals } from './refusals.ts'
import { RegistrySession } from './session.ts'

/** The login of an app for an image at a registry of others. Null: it has none. */
export type LoginFor = (
  app: string,
  image: { host: string; repository: string },
) => Promise<Login | null>

export type CopySettings = {
  /** The registry of the apps' images, and the gateway's login there. */
  own: { host: string; login: Login; insecure: boolean }
  /** Whether images of others are copied to the app's repository, or stay where they are. */
  foreign: 'copy' | 'leave'
  /** Where images of others are looked for first, if they are copied. */
  mirrors: Mirrors
  /** Registries that may be at private addresses: see `namedHosts`. */
  named: ReadonlySet<string>
  /** Further hosts that speak plain HTTP. */
  plainHttp: readonly string[]
  /** The largest image, compressed, in bytes. */
  maxBytes: number
  registryLogin: LoginFor
}

export type CopyRequest = {
  app: string
  image: RequestedImage
  /** For the image in the app's repository. The first is the deployment's own. */
  tags: [string, ...string[]]
  /** As in `linux/amd64`. */
  platform: string
  /** Other apps run it from there too: what the repository has is used, without a further tag. */
  isShared?: boolean
  /** Called once the digest of the name is known, before anything is copied. */
  pinned: (image: RequestedImage) => Promise<void>
  /** Called when the copy begins. */
  pushing: () => void
  emit: EventSink
}

type Wanted = Parameters<typeof findImage>[1]
/** An image of others, and where it was found. */
type Foreign = { from: Repository; found: FoundImage; isOpen: boolean }

/** A registry may take long to store a large blob after its last byte. */
const storeMs = 300_000

/** Brings images from anywhere to where a machine can get them. */
export class ImageCopier {
  readonly #settings: CopySettings
  readonly #registry: Registry
  readonly #agents: { own: Agent; others: Agent }

  /** `registry`: of the apps' images, with the gateway's login. */
  constructor(settings: CopySettings, registry: Registry) {
    this.#settings = settings
    this.#registry = registry
    const own = registryAgent(undefined, { answerMs: storeMs })
    this.#agents = { own, others: publicAgent(settings.named) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#agents.own.destroy(), this.#agents.others.destroy()])
  }

  /** Copies an image, or leaves it, and returns what the machines get. */
  async take(request: CopyRequest, signal: AbortSignal): Promise<ImageFacts> {
    const { app, image, platform, emit } = request
    const reference = parseReference(image.reference)
    const { own, foreign, maxBytes } = this.#settings
    const isOwn = reference.host === own.host
    const to = this.#ownSession()
    const wanted = { image: reference, platform, pinned: image.digest, maxBytes }
    const { from, found, isOpen } = isOwn
      ? {
          from: { session: to, repository: reference.repository },
          found: await findImage(to, wanted, signal),
          isOpen: true,
        }
      : await this.#findForeign(app, wanted, signal)
    await request.pinned({ reference: image.reference, digest: found.named })

    const name = referenceText(reference)
    const what = `${name} (${found.named.slice(0, 19)}, ${platform}): ${found.layers.length} ${found.layers.length === 1 ? 'layer' : 'layers'}, ${mb(found.sizeBytes)}`
    if (isOwn && reference.repository === app) return factsOf(reference, found)
    const copied = { host: own.host, repository: app, tag: null, digest: null }
    if (request.isShared && (await this.#registry.has(app, found.manifest.digest, signal))) {
      emit({ type: 'note', text: `${what}. It is in ${own.host}/${app} already.` })
      return factsOf(copied, found)
    }
    if (!isOwn && foreign === 'leave' && isOpen) {
      emit({ type: 'note', text: `${what}. Machines get it from ${reference.host}.` })
      return factsOf(reference, found)
    }
    if (!isOwn && foreign === 'leave') {
      const text = `${reference.host} gives this image with a login only, which machines do not have. It is copied.`
      emit({ type: 'note', text })
    }

    emit({ type: 'note', text: `Copying ${what}, to ${own.host}/${app}.` })
    request.pushing()
    const begun = performance.now()
    await copyBlobs({ from, to: { session: to, repository: app }, name, found, emit }, signal)
    await this.#name(request, found, signal)
    const ms = Math.round(performance.now() - begun)
    return {
      ...factsOf(copied, found),
      tags: request.tags,
      push: { via: 'registry', ms },
    }
  }

  /** Puts the manifest under its tags, and reads it back. */
  async #name(
    { app, tags }: Pick<CopyRequest, 'app' | 'tags'>,
    { manifest }: FoundImage,
    signal: AbortSignal,
  ): Promise<void> {
    for (const tag of tags) await this.#registry.tag(app, tag, manifest, signal)
    if (await this.#registry.has(app, manifest.digest, signal)) return
    throw new Problem(
      'registry-unavailable',
      `The registry does not have ${manifest.digest}, although it accepted it.`,
    )
  }

  #ownSession(): RegistrySession {
    const { own } = this.#settings
    return new RegistrySession({
      ...own,
      agent: this.#agents.own,
      refusals: ownRefusals(own.host),
    })
  }

  /** Looks for an image of others. `isOpen`: without a login, where that matters. */
  async #findForeign(app: string, wanted: Wanted, signal: AbortSignal): Promise<Foreign> {
    const { named, registryLogin, foreign } = this.#settings
    const { host, repository } = wanted.image
    assertMayBePublic(host, named)
    // An image that stays where it is must be there.
    const mirrored = foreign === 'copy' ? await this.#findMirrored(app, wanted, signal) : null
    if (mirrored) return mirrored
    const login = await registryLogin(app, { host, repository })
    if (login === null || foreign === 'copy') return this.#look(wanted, login, signal)
    // Machines have no login, so whether they can get the image shows without one.
    return this.#look(wanted, null, signal).catch((error: unknown) => {
      if (errorCode(error) === 'image-forbidden') return this.#look(wanted, login, signal)
      throw error
    })
  }

  /** Looks at the mirrors of the image's registry. What they lack or refuse, the registry may have. */
  async #findMirrored(app: string, wanted: Wanted, signal: AbortSignal): Promise<Foreign | null> {
    const { mirrors, own, registryLogin } = this.#settings
    for (const place of placesOf(wanted.image, mirrors).slice(0, -1)) {
      if (isAppsRepository(place, { own: own.host, mirrors })) continue
      try {
        const at = { ...wanted, image: { ...wanted.image, ...place } }
        return await this.#look(at, await registryLogin(app, place), signal)
      } catch {
        signal.throwIfAborted()
      }
    }
    return null
  }

  async #look(wanted: Wanted, login: Login | null, signal: AbortSignal): Promise<Foreign> {
    const session = this.#foreignSession(wanted.image, login)
    const found = await findImage(session, wanted, signal)
    return { from: { session, repository: wanted.image.repository }, found, isOpen: login === null }
  }

  #foreignSession({ host, repository }: ImageReference, login: Login | null): RegistrySession {
    const { plainHttp } = this.#settings
    const asked = { host, repository, user: login?.username ?? null }
    return new RegistrySession({
      host: apiHost(host),
      insecure: speaksPlainHttp(host, plainHttp),
      login,
      agent: this.#agents.others,
      refusals: foreignRefusals(asked),
    })
  }
}

function factsOf(
  { host, repository, tag }: ImageReference,
  { manifest, sizeBytes, port }: FoundImage,
): ImageFacts {
  const builder = imageBuilder(manifest)
  return {
    reference: `${host}/${repository}@${manifest.digest}`,
    digest: manifest.digest,
    tags: tag === null ? [] : [tag],
    sizeBytes,
    ...(builder && { builder }),
    ...(port !== null && { port }),
  }
}
