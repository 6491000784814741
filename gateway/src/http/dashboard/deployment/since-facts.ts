import type { Deployment } from '#api/deployment.ts'
import type { SourceChanges } from '#api/sources/changes.ts'
import { comparedFacts } from '../build/compared-facts.ts'
import { whatChanged } from '../build/what-changed.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { sizeText } from '../parts/size.ts'
import { linesOf } from '../parts/tables.ts'

const lookedAt = 10

/** What differs from before: files since what was live, and the plan since the last build. */
export async function sinceFacts(
  context: PageContext,
  deployment: Deployment,
): Promise<[string, Html | null][]> {
  const { commands, caller } = context
  const { id, source, plan } = deployment
  const [files, planned] = await Promise.all([
    source && partOf(commands.sourceFiles.compare(caller, id), (found) => filesText(id, found)),
    plan && planText(context, deployment),
  ])
  return [
    ['Files changed', files],
    ['Plan changed', planned],
  ]
}

function filesText(id: string, changes: SourceChanges): Html {
  const { since } = changes
  if (!since) return html`all are new: no source of this target was live before`
  const before = html`since
    <a href="${addressOf('deployment', { id: since.id })}">#${since.number}</a>`
  const counts = countsText(changes)
  if (counts === null) return html`none ${before}`
  return html`${counts}, ${before} · <a href="${addressOf('files', { id })}">list</a>`
}

/** Null: no file differs. */
export function countsText(changes: Omit<SourceChanges, 'since' | 'files'>): string | null {
  const kinds = (['added', 'changed', 'removed'] as const).flatMap((kind) => {
    const { files, sizeBytes } = changes[kind]
    return files > 0 ? [`${files} ${kind} (${sizeText(sizeBytes)})`] : []
  })
  return kinds.length > 0 ? kinds.join(', ') : null
}

/** How the plan differs from that of the build before. The source has its own fact. Null: there is none before. */
async function planText(
  { commands, caller }: PageContext,
  deployment: Deployment,
): Promise<Html | null> {
  const { id, app, owner, number } = deployment
  const page = { limit: lookedAt, before: String(number) }
  const { deployments } = await commands.deployments(caller, app, page)
  const last = deployments.find((each) => each.plan !== null && each.owner === owner)
  if (!last) return null
  const facts = comparedFacts(last, deployment).filter(
    ({ name, differs, isCause }) => differs && isCause && isKnown(name, deployment),
  )
  const compare = html`<a href="${addressOf('compare', {}, { a: last.id, b: id })}"
    >compare with #${last.number}</a
  >`
  return facts.length > 0
    ? html`${linesOf(whatChanged(facts, null).join('\n'))} ${compare}`
    : html`no · ${compare}`
}

/** The source has a fact of its own. The record has base images once the image is built. */
const isKnown = (name: string, { image }: Deployment): boolean =>
  name !== 'Source' && (image !== null || !name.startsWith('Base image'))
