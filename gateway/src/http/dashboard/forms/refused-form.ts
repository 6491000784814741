import type { Request } from 'express'
import type { Problem } from '#api/problem.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { problemNext, problemText } from '../parts/problem-page.ts'
import { pageBefore } from '../session/login-page.ts'
import { faultTexts } from '#api/problem/fault-texts.ts'
import { problems } from '#api/problem/codes.ts'

/** The page that a form was on, as a request for it has it. */
export type FormPage = { page: Page; params: Record<string, string>; url: string }

/** The page that sent the form of a request, by what the browser says. Null: it does not say, or there is none. */
export function pageOfForm(request: Request, pages: readonly Page[]): FormPage | null {
  if (request.headers.referer === undefined) return null
  const url = pageBefore(request)
  const { pathname } = new URL(url, 'http://gateway')
  for (const page of pages) {
    const params = paramsIn(page.path, pathname)
    if (params) return { page, params, url }
  }
  return null
}

/** The values of a path that has this pattern. Null: it has another, or is not readable. */
function paramsIn(pattern: string, path: string): Record<string, string> | null {
  const [names, values] = [pattern.split('/'), path.split('/')]
  if (names.length !== values.length) return null
  const params: Record<string, string> = {}
  for (const [at, name] of names.entries()) {
    const value = decoded(values[at]!)
    if (!name.startsWith(':')) {
      if (name !== value) return null
    } else if (!value) return null
    else params[name.slice(1)] = value
  }
  return params
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/** Above the page of a form that was refused: why, and what next. */
export function refusalPart(problem: Problem): Html {
  const { title, fault } = problems[problem.code]
  return html`<div class="verdict bad" role="alert">
    ${problemText(title, problem.message, fault === 'source' ? null : faultTexts[fault])}
    <p>The form below has what you typed, but no secrets. ${problemNext(problem)}</p>
  </div>`
}
