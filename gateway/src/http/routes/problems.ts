import type { RequestHandler } from 'express'
import { exitCodeOf, exitCodes } from '#api/problem/exit-codes.ts'
import { type ProblemCode, problemCodes, problems } from '#api/problem/codes.ts'
import { faultTexts } from '#api/problem/fault-texts.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'

/**
 * `GET /problems/{code}`: what the `type` of a problem points to, as HTML or JSON by `Accept`. Open
 * without a token: it says nothing about this gateway.
 */
export const readProblem: RequestHandler = (request, response) => {
  const code = problemCodes.find((known) => known === request.params['code'])
  if (!code) {
    const code = String(request.params['code']).slice(0, 100)
    throw new Problem('route-not-found', `There is no problem with the code ${code}.`)
  }

  if (request.accepts(['json', 'html']) === 'html') response.type('html').send(pageOf(code))
  else
    response.json({
      type: fill(routes.problem, { code }),
      code,
      ...problems[code],
      ...hintsOf(code),
    })
}

const hintsOf = (code: ProblemCode) => ({
  whoseFault: faultTexts[problems[code].fault],
  worthRetrying: problems[code].retry
    ? 'The same request may succeed later.'
    : 'The same request fails again until something is changed.',
  exitCode: exitCodeOf[code],
  exitCodeMeaning: exitCodes[exitCodeOf[code]],
})

/** All texts are constants of the code: nothing needs escaping. */
function pageOf(code: ProblemCode): string {
  const { title, status } = problems[code]
  const { whoseFault, worthRetrying, exitCode, exitCodeMeaning } = hintsOf(code)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${code}: ${title}</title>
<h1>${title}</h1>
<p><code>${code}</code>, HTTP status ${status}</p>
<p>${whoseFault}</p>
<p>${worthRetrying}</p>
<p>The client <code>tarmac</code> ends with exit code ${exitCode} (${exitCodeMeaning}).</p>
<p>The <code>detail</code> of the problem says what happened in this case, and what to do next.</p>
</html>
`
}
