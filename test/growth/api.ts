import { AppName, OwnerName } from '../../api/app.ts'
import { MemberName, TeamName } from '../../api/callers/teams.ts'
import { endOf, secondsOf } from '../../api/callers/lifetime.ts'
import { NewToken, tokenIdIn, tokenPattern } from '../../api/callers/token.ts'
import { patchSettings } from '../../api/options/app-settings.ts'
import type { Deployment } from '../../api/deployment.ts'
import { DeploymentOptions, parseOptions, readOptions } from '../../api/options.ts'
import { PauseRequest } from '../../api/overview/queue.ts'
import { ExecRequest } from '../../api/previews/preview-calls.ts'
import { readPreviewQuery } from '../../api/previews/preview-query.ts'
import { NewRouter } from '../../api/router/router.ts'
import { arePlatforms, isWebAddress, webAddress } from '../../api/options/labels.ts'
import { unknownOption } from '../../api/options/unknown-option.ts'
import { variableName } from '../../api/options/variables.ts'
import { eventWords } from '../../api/text/event-words.ts'
import { renderEvent } from '../../api/text/render-event.ts'
import { renderRefusal, renderVerdict } from '../../api/text/render-verdict.ts'
import { stepKey, withoutPlace } from '../../api/text/step-key.ts'
import { shortStep } from '../../api/text/short-step.ts'
import { fill } from '../../api/routes.ts'
import { checkRuntimeSecrets } from '../../api/runtime/secrets.ts'
import { SecretName } from '../../api/secret.ts'
import { ContentHash, NewTree, TreeAnswer, TreeDigest } from '../../api/sources/tree-calls.ts'
import { nearestOf } from '../../api/text/nearest.ts'
import { tellingLines } from '../../api/text/telling-lines.ts'
import { trimEnd } from '../../api/text/trim-end.ts'
import {
  safeJson,
  terminalText,
  visible,
  visibleJson,
  visibleLines,
} from '../../api/text/visible-text.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

const at = '2026-01-01T00:00:00.000Z'
const rendered = (text: string) =>
  renderEvent({ seq: 1, at, type: 'log', step: 'a', stream: 'stdout', text }, at)
const verdict = (detail: string) =>
  renderVerdict({
    id: 'a',
    app: 'a',
    state: 'build_failed',
    problem: { title: 'a', detail },
  } as Deployment)

export const api: Record<string, Shapes> = {
  'api/text/visible-text.ts › visible': hostileTexts(visible),
  'api/text/visible-text.ts › terminalText': hostileTexts(terminalText),
  'api/text/visible-text.ts › visibleLines': hostileTexts(visibleLines),
  'api/text/visible-text.ts › visibleJson': hostileTexts(visibleJson),
  'api/text/visible-text.ts › safeJson': hostileTexts(safeJson),
  'api/sources/tree-calls.ts › TreeDigest': hostileTexts((text) => TreeDigest.safeParse(text)),
  'api/sources/tree-calls.ts › ContentHash': hostileTexts((text) => ContentHash.safeParse(text)),
  'api/sources/tree-calls.ts › NewTree': {
    'many entries': (size) => {
      const entries = listed(size, 40, (at) => ({ type: 'folder', path: `${at}` }))
      return () => NewTree.safeParse({ digest: `sha256:${'0'.repeat(64)}`, entries })
    },
  },
  'api/sources/tree-calls.ts › TreeAnswer': {
    'many missing files': (size) => {
      const missing = listed(size, 64, () => '0'.repeat(64))
      return () => TreeAnswer.safeParse({ state: 'missing', missing, missingBytes: 0 })
    },
  },
  'api/app.ts › AppName': hostileTexts((text) => AppName.safeParse(text)),
  'api/callers/teams.ts › TeamName': hostileTexts((text) => TeamName.safeParse(text)),
  'api/callers/teams.ts › MemberName': hostileTexts((text) => MemberName.safeParse(text)),
  'api/callers/lifetime.ts › secondsOf': hostileTexts(secondsOf),
  'api/callers/lifetime.ts › endOf': hostileTexts((text) => endOf(text, 0)),
  'api/callers/token.ts › tokenIdIn': {
    ...hostileTexts(tokenIdIn),
    ...hostileTexts((text) => tokenIdIn(`tmc_${text}`)),
  },
  'api/callers/token.ts › tokenPattern': {
    ...hostileTexts((text) => tokenPattern.test(text)),
    'beginnings of tokens': (size) => {
      const text = repeated('tmc_', size)
      return () => tokenPattern.test(text)
    },
  },
  'api/callers/token.ts › NewToken': hostileTexts((text) =>
    NewToken.safeParse({ name: text, apps: [text], owners: [text], team: text, expires: text }),
  ),
  'api/secret.ts › SecretName': hostileTexts((text) => SecretName.safeParse(text)),
  'api/runtime/secrets.ts › checkRuntimeSecrets': {
    ...hostileTexts((text) => checkRuntimeSecrets(new Map([[text, text]]))),
    ...hostileTexts((text) => checkRuntimeSecrets(new Map([['A', text]]))),
  },
  'api/options/variables.ts › variableName': hostileTexts((text) => variableName.test(text)),
  'api/text/telling-lines.ts › tellingLines': {
    ...hostileTexts((text) => tellingLines(text.split('\n'), 6)),
    'many lines': (size) => () =>
      tellingLines(
        listed(size, 5, () => '  at x'),
        6,
      ),
  },
  'api/text/nearest.ts › nearestOf': hostileTexts((text) => nearestOf(text, ['deploy', 'env'])),
  'api/options/unknown-option.ts › unknownOption': {
    ...hostileTexts((text) => unknownOption(text, ['deploy', 'env.NAME'])),
  },
  'api/options.ts › DeploymentOptions': {
    ...hostileTexts((platform) => DeploymentOptions.safeParse({ platform })),
    ...hostileTexts((commit) =>
      DeploymentOptions.safeParse({ commit, tag: [commit], region: commit }),
    ),
    'many platforms': (size) => () =>
      DeploymentOptions.safeParse({ platform: repeated('linux/amd64,', size) }),
  },
  'api/options.ts › readOptions': {
    ...hostileTexts((text) => readOptions([[text, text]])),
    ...hostileTexts((text) => readOptions([[`env.${text}`, text]])),
    'many variables': (size) => {
      const query = listed(size, 10, (at): string => `env.A${at}`).map((name): [string, string] => [
        name,
        'a',
      ])
      return () => readOptions(query)
    },
    'many tags': (size) => {
      const query = listed(size, 10, (at) => `t${at}`).map((tag): [string, string] => ['tag', tag])
      return () => readOptions(query)
    },
  },
  'api/previews/preview-query.ts › readPreviewQuery': {
    ...hostileTexts((text) => readPreviewQuery([[text, text]])),
    ...hostileTexts((text) => readPreviewQuery([['ttlSeconds', text]])),
    'many variables': (size) => {
      const query = listed(size, 10, (at): string => `env.A${at}`).map((name): [string, string] => [
        name,
        'a',
      ])
      return () => readPreviewQuery(query)
    },
  },
  'api/router/router.ts › NewRouter': {
    ...hostileTexts((text) => NewRouter.safeParse({ domain: text })),
    labels: (size) => () => NewRouter.safeParse({ domain: repeated('a.', size) }),
  },
  'api/overview/queue.ts › PauseRequest': hostileTexts((why) => PauseRequest.safeParse({ why })),
  'api/previews/preview-calls.ts › ExecRequest': {
    ...hostileTexts((text) => ExecRequest.safeParse({ command: [text] })),
    'many arguments': (size) => {
      const command = listed(size, 4, (at) => `a${at}`)
      return () => ExecRequest.safeParse({ command })
    },
  },
  'api/options.ts › parseOptions': {
    ...hostileTexts((text) => parseOptions({ [text]: text })),
    'many variables with a wrong name': (size) => {
      const env = Object.fromEntries(listed(size, 12, (at) => `-${at}`).map((name) => [name, 1]))
      return () => parseOptions({ env })
    },
    'many unknown ones': (size) => {
      const given = Object.fromEntries(listed(size, 12, (at) => `-${at}`).map((name) => [name, 1]))
      return () => parseOptions(given)
    },
  },
  'api/options/app-settings.ts › patchSettings': {
    ...hostileTexts((text) => patchSettings({}, { env: { [text]: text }, platform: text })),
    'many variables': (size) => {
      const own = {
        env: Object.fromEntries(listed(size, 12, (at) => `A${at}`).map((name) => [name, 'a'])),
      }
      const gone = Object.fromEntries(Object.keys(own.env).map((name) => [name, null]))
      return () => [patchSettings(own, { env: gone }), patchSettings({}, own)]
    },
  },
  'api/text/render-event.ts › renderEvent': {
    ...hostileTexts(rendered),
    ...hostileTexts(rendered, (text) => `a\r${text}\r\n`),
  },
  'api/text/event-words.ts › eventWords': hostileTexts((text) =>
    eventWords({ seq: 1, at, type: 'step', step: 'a', name: text, status: 'failed', error: text }),
  ),
  'api/text/render-verdict.ts › renderVerdict': hostileTexts(verdict),
  'api/text/render-verdict.ts › renderRefusal': hostileTexts((detail) =>
    renderRefusal({ title: 'a', detail, step: detail }),
  ),
  'api/options/labels.ts › arePlatforms': hostileTexts(arePlatforms),
  'api/options/labels.ts › webAddress': hostileTexts((text) => webAddress.safeParse(text)),
  'api/options/labels.ts › isWebAddress': {
    ...hostileTexts(isWebAddress),
    ...hostileTexts((text) => isWebAddress(`https://a/${text}`)),
  },
  'api/text/step-key.ts › stepKey': hostileTexts(stepKey),
  'api/text/step-key.ts › withoutPlace': hostileTexts(withoutPlace),
  'api/text/short-step.ts › shortStep': hostileTexts(shortStep),
  'api/app.ts › OwnerName': hostileTexts((text) => OwnerName.safeParse(text)),
  'api/routes.ts › fill': hostileTexts((id) => fill('/v1/:id/events', { id })),
  'api/text/trim-end.ts › trimEnd': hostileTexts((text) => trimEnd(text, '. ')),
}
