import type { Deployment } from '#api/deployment.ts'
import { type ProblemCode, problems } from '#api/problem/codes.ts'
import { faultTexts } from '#api/problem/fault-texts.ts'
import { numberLink } from '../lists/deployment-link.ts'
import { html, type Html } from '../parts/html.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** Which problems the last failed deployments of all apps had, the most frequent first. */
export function problemsPart(failed: readonly Deployment[]): Html {
  if (failed.length === 0) return html`<p class="quiet">No deployment has failed yet.</p>`
  const byCode = Map.groupBy(failed, ({ problem }) => problem?.code ?? 'unknown')
  const counts = [...byCode].toSorted(([, one], [, other]) => other.length - one.length)
  return html`<p>
      Of the last ${failed.length} that failed, since ${timeOf(failed.at(-1)!.createdAt)}:
    </p>
    ${table(
      'Problems of failed deployments',
      ['Problem', 'How often', 'Who can fix it', 'The newest', 'When'],
      counts.map(([code, all]) => [
        html`<a href="/problems/${code}">${code}</a>`,
        all.length,
        isKnown(code) ? faultTexts[problems[code].fault] : '',
        numberLink(all[0]!),
        timeOf(all[0]!.createdAt),
      ]),
    )}`
}

const isKnown = (code: string): code is ProblemCode => Object.hasOwn(problems, code)
