import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import type { VersionFacts } from '#api/status/versions.ts'
import { isNewEnough, isStandIn } from './compare.ts'
import { installedPackages } from './find-packages.ts'
import { daemonProgram, type Found, miseIn, runcOf } from './find-tools.ts'
import { type Minimum, packages, programs } from './minimums.ts'
import { applianceImages } from './pins.ts'

/** The root of the tree, in the repository and in the image. */
export const treeRoot = join(import.meta.dirname, '../../..')
/** Where the image has its list of packages. Only the image has it. */
export const sbomFile = join(treeRoot, 'sbom.cdx.json')

type Places = {
  /** The daemon's program. Null: the gateway does not run the daemon. */
  daemonCommand: string | null
  /** Where railpack looks for mise. */
  miseFolder: string
  /** Parts that may be older than their minimum: the gateway warns instead. */
  allowOld: readonly string[]
}

/** The stage of `gateway/Dockerfile` that each program comes from. */
const stages: Record<string, string | null> = {
  buildkitd: 'buildkit',
  runc: 'buildkit',
  railpack: 'railpack',
  mise: 'mise',
  node: 'packages',
}

/** The versions of all parts. `find` and `add` refuse what is too old. */
export class Versions {
  readonly #facts = new Map<string, VersionFacts>()
  readonly #allowOld: readonly string[]
  readonly #pinned: ReadonlySet<string>

  /** Finds what runs on this machine. Throws `version-too-old`. */
  static async find({ daemonCommand, miseFolder, allowOld }: Places): Promise<Versions> {
    const versions = new Versions(allowOld)
    const others = 'the daemon is not the gateway’s own, and does not say which runc it uses'
    const [runc, buildkitd] = daemonCommand
      ? await Promise.all([runcOf(daemonCommand), daemonProgram(daemonCommand)])
      : [{ version: null, note: others }]
    const tools: Record<string, Found> = {
      node: { version: process.versions.node, note: null },
      mise: miseIn(miseFolder),
      runc,
      ...(buildkitd && { buildkitd }),
    }
    for (const [name, found] of Object.entries(tools)) versions.#note(name, found)
    versions.#notePackages()
    versions.#assertNewEnough()
    return versions
  }

  private constructor(allowOld: readonly string[]) {
    this.#allowOld = allowOld
    const isImage = existsSync(sbomFile) // elsewhere the programs are the host's, whatever is pinned
    const images = isImage ? applianceImages(treeRoot) : []
    this.#pinned = new Set(images.flatMap(({ stage, digest }) => (digest && stage ? [stage] : [])))
  }

  /** Adds a part that was found later. Throws `version-too-old`. */
  add(name: string, found: Found): void {
    this.#note(name, found)
    this.#assertNewEnough()
  }

  /** Adds why a part's version is not known, unless it is. */
  addUnlessKnown(name: string, found: Found): void {
    if (!this.#facts.get(name)?.version) this.#note(name, found)
  }

  /** For `GET /v1/status`. */
  facts(): VersionFacts[] {
    return [...this.#facts.values()].toSorted((a, b) => order(a) - order(b))
  }

  /** For the log: each version by name, and what is wrong with some. */
  summary(): { versions: Record<string, string>; tooOld: string[]; unknown: string[] } {
    const facts = this.facts()
    return {
      versions: Object.fromEntries(facts.map(({ name, version }) => [name, version ?? 'unknown'])),
      tooOld: facts.filter(({ ok }) => ok === false).map(lineOf),
      unknown: facts.filter(({ ok }) => ok === null).map(({ name, note }) => `${name}: ${note}`),
    }
  }

  #notePackages(): void {
    const installed = installedPackages(treeRoot)
    for (const [name, minimum] of Object.entries(packages)) {
      const found = installed.get(name)
      const copies = found && found.copies > 1 ? `the lowest of ${found.copies} copies` : null
      const missing = 'npm did not install it here'
      this.#facts.set(name, {
        ...judged({ version: found?.version ?? null, note: found ? copies : missing }, minimum),
        name,
        pinned: found?.hasDigest ?? false,
      })
    }
  }

  #note(name: string, found: Found): void {
    const stage = stages[name]
    const pinned = stage !== undefined && stage !== null && this.#pinned.has(stage)
    this.#facts.set(name, { ...judged(found, programs[name] ?? null), name, pinned })
  }

  #assertNewEnough(): void {
    const old = this.facts().filter(
      ({ name, ok }) => ok === false && !this.#allowOld.includes(name),
    )
    if (old.length > 0) throw tooOld(old)
  }
}

function judged({ version, note }: Found, minimum: Minimum | null) {
  const standIn = version !== null && isStandIn(version) ? 'a stand-in of the lab' : null
  const ok = version === null ? null : minimum === null || isNewEnough(version, minimum)
  return {
    version,
    minimum: minimum && minimum.lowest.join(', '),
    ok,
    note: standIn ?? (version !== null && ok === null ? `it says ${version}` : note),
  }
}

function tooOld(old: VersionFacts[]): Problem {
  const names = old.map(({ name }) => name)
  const reasons = old.map((facts) => `  ${lineOf(facts)}`)
  const detail = [
    `The gateway does not start, because ${names.join(', ')} ${old.length > 1 ? 'are' : 'is'} too old:`,
    ...reasons,
    `In the appliance, take a newer image: tarmac upgrade. On a host of your own, install a newer version there. To accept the risk, set TARMAC_ALLOW_OLD=${names.join(',')}: the gateway then starts with a warning.`,
  ].join('\n')
  return new Problem('version-too-old', detail, { facts: { versions: old } })
}

function lineOf({ name, version, minimum, note }: VersionFacts): string {
  const why = (programs[name] ?? packages[name])?.why ?? ''
  return `${name} is ${version}${note ? ` (${note})` : ''}; needed is ${minimum} or newer. ${why}`
}

const names = ['buildkitd', 'runc', 'railpack', 'mise', 'node', ...Object.keys(packages)]
const order = ({ name }: VersionFacts) => names.indexOf(name)
