import type { Deployment, PlanFacts } from '#api/deployment.ts'
import { sizeText } from '../parts/size.ts'
import { sumOf } from '../pictures/columns.ts'
import { durationText } from '../parts/time.ts'
import { shortDigest } from '../deployment/facts-part.ts'

/** One fact of two builds. Null: a build does not have it. `isCause`: it decides what is built. */
export type ComparedFact = {
  name: string
  a: string | null
  b: string | null
  differs: boolean
  isCause: boolean
}

/** What two builds were made of, and what came out. Facts that neither has are left out. */
export function comparedFacts(a: Deployment, b: Deployment): ComparedFact[] {
  const causes = compare(causesOf(a), causesOf(b), true)
  return [...causes, ...compare(resultsOf(a), resultsOf(b), false)]
}

type Facts = Map<string, string | null>

function compare(a: Facts, b: Facts, isCause: boolean): ComparedFact[] {
  return [...new Set([...a.keys(), ...b.keys()])]
    .map((name) => ({ name, a: a.get(name) ?? null, b: b.get(name) ?? null }))
    .filter((each) => each.a !== null || each.b !== null)
    .map((each) => ({ ...each, differs: each.a !== each.b, isCause }))
}

/** In the order in which they decide: another plan makes other steps, whatever the source is. */
const causesOf = ({ plan, bases, source, options }: Deployment): Facts =>
  new Map([
    ['Builder', plan && `${plan.builder} (${plan.reason})`],
    ['Planner', plan?.planner ?? null],
    ['Provider', plan?.provider ?? null],
    ...versionsOf(plan),
    ['Starts with', plan?.startCommand ?? null],
    ['Platform', options.platform],
    ['Stage', options.target],
    ['Variables of the build', listText(options.build)],
    ...Object.entries(bases).map(([name, digest]): [string, string] => [
      `Base image ${name}`,
      shortDigest(digest),
    ]),
    [
      'Source',
      source &&
        `${shortDigest(source.digest)}, ${source.files} files, ${sizeText(source.sizeBytes)}`,
    ],
    ['Every step runs', options.rebuild ? 'asked for' : null],
  ])

const listText = (values: Record<string, string>): string | null =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n') || null

const versionsOf = (plan: PlanFacts | null): [string, string][] =>
  Object.entries(plan?.versions ?? {}).map(([name, version]) => [`Version of ${name}`, version])

function resultsOf({ state, phases, image, buildUsage, options }: Deployment): Facts {
  const { building, pushing } = phases
  return new Map([
    ['Commit', options.commit?.slice(0, 12) ?? null],
    ['State', state.replace('_', ' ')],
    ['Building', building === undefined ? null : durationText(building)],
    ['Pushing', pushing === undefined ? null : durationText(pushing)],
    ['All phases', durationText(sumOf(Object.values(phases)))],
    ['Image', image && shortDigest(image.digest)],
    ['Size of the image', image?.sizeBytes === undefined ? null : sizeText(image.sizeBytes)],
    ['CPU time of steps', buildUsage && durationText(buildUsage.cpuMs)],
    ['Memory of one step at most', buildUsage && sizeText(buildUsage.peakMemoryBytes)],
  ])
}
