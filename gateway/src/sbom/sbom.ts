import { ComponentType, HashAlgorithm } from '@cyclonedx/cyclonedx-library/Enums'
import {
  Bom,
  Component,
  ComponentRepository,
  HashDictionary,
  LicenseRepository,
  Metadata,
  NamedLicense,
  Property,
  PropertyRepository,
  SpdxLicense,
} from '@cyclonedx/cyclonedx-library/Models'
import { JSON as Json, JsonSerializer } from '@cyclonedx/cyclonedx-library/Serialize'
import { isSupportedSpdxId } from '@cyclonedx/cyclonedx-library/SPDX'
import { Spec1dot6 } from '@cyclonedx/cyclonedx-library/Spec'
import { fullName } from '#api/image/pins.ts'
import { type NpmPackage, npmPackages } from '../versions/find-packages.ts'
import { applianceImages } from '../versions/pins.ts'
import { type DebianPackage, distribution, installedDebianPackages } from './debian-packages.ts'

type Parts = {
  version: string
  npm: readonly NpmPackage[]
  debian: readonly DebianPackage[]
  distribution: { id: string; name: string }
  /** The images whose files are copied into this one, by full name. */
  images: readonly { name: string; digest: string | null }[]
}

/** What is installed below this root and on this machine. */
export const partsOf = (root: string, version: string): Parts => ({
  version,
  npm: npmPackages(root),
  debian: installedDebianPackages(),
  distribution: distribution(),
  images: applianceImages(root).map(({ image, digest }) => ({ name: fullName(image), digest })),
})

/**
 * The list of packages as CycloneDX 1.6 JSON: npm packages, Debian packages, and the images that the
 * programs come from. The same parts give the same bytes: it has no time and no random id.
 */
export function sbomOf({ version, npm, debian, distribution, images }: Parts): string {
  const components = [
    ...npm.map(npmComponent),
    ...debian.map((each) => debianComponent(each, distribution)),
    ...images.map(imageComponent),
  ]
  // npm may have installed the same version at two places.
  const byPurl = new Map(components.map((component) => [component.purl, component]))
  const own = new Component(ComponentType.Application, 'tarmac', {
    version,
    bomRef: 'tarmac',
    licenses: licensesOf('MIT'),
  })
  const bom = new Bom({
    components: new ComponentRepository(byPurl.values()),
    metadata: new Metadata({ component: own }),
  })
  const serializer = new JsonSerializer(new Json.Normalize.Factory(Spec1dot6))
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`
}

function npmComponent({ name, version, integrity, license }: NpmPackage): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`
  const at = name.indexOf('/')
  return new Component(ComponentType.Library, name.slice(at + 1), {
    ...(at >= 0 && { group: name.slice(0, at) }),
    version,
    purl,
    bomRef: purl,
    licenses: licensesOf(license),
    hashes: hashesOf(integrity),
  })
}

function debianComponent(
  { name, version, architecture, source }: DebianPackage,
  distribution: { id: string; name: string },
): Component {
  const query = new URLSearchParams({ arch: architecture, distro: distribution.name })
  if (source !== null) query.set('upstream', source)
  const purl = `pkg:deb/${distribution.id}/${encodeURIComponent(name)}@${encodeURIComponent(version)}?${query.toString()}`
  return new Component(ComponentType.Library, name, { version, purl, bomRef: purl })
}

function imageComponent({ name, digest }: Parts['images'][number]): Component {
  const at = name.lastIndexOf(':')
  const [repository, tag] = [name.slice(0, at), name.slice(at + 1)]
  const query = new URLSearchParams({ repository_url: repository, tag })
  const purl = `pkg:oci/${repository.split('/').at(-1)}${digest ? `@${encodeURIComponent(digest)}` : ''}?${query.toString()}`
  const note = new Property('tarmac:pinned', digest ? 'yes' : 'no')
  return new Component(ComponentType.Container, repository, {
    version: digest ? `${tag}@${digest}` : tag,
    purl,
    bomRef: purl,
    properties: new PropertyRepository([note]),
  })
}

function licensesOf(license: string | null): LicenseRepository {
  if (license === null) return new LicenseRepository()
  const isKnown = isSupportedSpdxId(license)
  return new LicenseRepository([isKnown ? new SpdxLicense(license) : new NamedLicense(license)])
}

/** npm's `integrity`, such as `sha512-…` in base64. */
function hashesOf(integrity: string | null): HashDictionary {
  const [algorithm, value] = (integrity ?? '').split('-')
  const name = { sha512: HashAlgorithm['SHA-512'], sha1: HashAlgorithm['SHA-1'] }[algorithm ?? '']
  if (name === undefined || value === undefined) return new HashDictionary()
  return new HashDictionary([[name, Buffer.from(value, 'base64').toString('hex')]])
}
