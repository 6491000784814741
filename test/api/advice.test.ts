import { expect, test } from 'vitest'
import { problems } from '../../api/problem/codes.ts'
import { nodesIn, productFiles } from '../product-code.ts'

/** Texts that only a caller without the client gets, or for which the client has no command. */
const ofCallsAlone = new Map([
  ['gateway/src/commands/delete-app.ts', 'the client deletes no app'],
  ['gateway/src/http/routes/deploy.ts', 'PUT /deploy is for curl'],
  ['client/src/deploy/source-folder.ts', 'an archive is sent by curl'],
  [
    'gateway/src/commands/uploads/own-upload.ts',
    'the client sends all of an upload before it uses it',
  ],
  ['client/src/deploy/read-secrets.ts', 'the client sends text alone'],
  ['api/text/render-verdict.ts', 'commands of curl; the client has its own'],
  ['gateway/src/http/dashboard/audit/audit-page.ts', 'shows how to call the API'],
])

const call = /\b(?:GET|POST|PUT|PATCH|DELETE) \/(?:v1|deploy)\b|\/v1\//
/** Options as a request has them, in texts like `or ask with evict=oldest`. */
const option =
  /(?<![\w.$-])(?:abort|config|dockerfile|evict|force-over|foreign|new-volumes|owner|plan|rebuild|region|reuse-image|wait)=(?:true|[a-z]|[A-Z]|…)/
const command = /\btarmac [a-z]|(?<![\w-])--[a-z]/

/** Each text of the code with the place where it is: what is between values is `…`. */
const texts = productFiles().flatMap(({ path, program }) =>
  [...nodesIn(program)].flatMap((node) => {
    const parts =
      node.type === 'Literal' && typeof node.value === 'string'
        ? [node.value]
        : node.type === 'TemplateLiteral'
          ? node.quasis.map(({ value }) => value.cooked ?? '')
          : []
    const text = parts.join('…')
    return /\S\s+\S/.test(text) ? [{ path, text }] : []
  }),
)

test('a text that advises a call of the API names the command of the client too', () => {
  expect(texts.length).toBeGreaterThan(2000)
  const isOnlyCall = (text: string) =>
    (call.test(text) || option.test(text)) && !command.test(text) && !isReason.test(text)
  const found = texts.filter(({ text }) => isOnlyCall(text))
  const own = found.filter(({ path }) => !ofCallsAlone.has(path))
  expect(own).toEqual([])
  const unused = [...ofCallsAlone.keys()].filter((file) => found.every(({ path }) => path !== file))
  expect(unused).toEqual([])
})

/** Says why something was chosen, and advises nothing. */
const isReason = /^asked for by /

test('no title of a problem names a call', () => {
  for (const { title } of Object.values(problems)) expect(title).not.toMatch(call)
})
