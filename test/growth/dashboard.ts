import type { IncomingMessage } from 'node:http'
import type { Request } from 'express'
import type { DeploymentEvent } from '../../api/event.ts'
import { cellsOf, LogLayout } from '../../gateway/src/http/dashboard/log/log-layout.ts'
import { LogModel } from '../../gateway/src/http/dashboard/log/log-model.ts'
import { activityPart } from '../../gateway/src/http/dashboard/app/activity-part.ts'
import { coloured } from '../../gateway/src/http/dashboard/log/coloured.ts'
import {
  deploymentRows,
  deploymentsPart,
} from '../../gateway/src/http/dashboard/app/deployments-part.ts'
import { filterForm } from '../../gateway/src/http/dashboard/audit/filter-form.ts'
import { readNewToken } from '../../gateway/src/http/dashboard/callers/new-token-form.ts'
import { withoutCommand } from '../../api/text/event-words.ts'
import { alignSteps, isRenamed } from '../../gateway/src/http/dashboard/build/align-steps.ts'
import {
  BuildModel,
  type BuildStep,
  type Finding,
} from '../../gateway/src/http/dashboard/build/build-model.ts'
import { findingsPart } from '../../gateway/src/http/dashboard/build/findings-part.ts'
import { whatChanged } from '../../gateway/src/http/dashboard/build/what-changed.ts'
import { detailOf } from '../../api/text/render-verdict.ts'
import {
  callerFacts,
  callerText,
} from '../../gateway/src/http/dashboard/deployment/caller-facts.ts'
import { factsPart, shortDigest } from '../../gateway/src/http/dashboard/deployment/facts-part.ts'
import { groupName } from '../../gateway/src/http/dashboard/log/group-heading.ts'
import { machinesPart } from '../../gateway/src/http/dashboard/deployment/machines-part.ts'
import { ownerOf } from '../../gateway/src/http/dashboard/app/owner-of.ts'
import { showControls } from '../../api/text/visible-text.ts'
import { verdictPart } from '../../gateway/src/http/dashboard/deployment/verdict-part.ts'
import { windowOf } from '../../gateway/src/http/dashboard/log/read-log.ts'
import { attributes, html, safeUrl } from '../../gateway/src/http/dashboard/parts/html.ts'
import { sessionCookieOf } from '../../gateway/src/http/dashboard/session/cookie.ts'
import { ownPage, pageBefore } from '../../gateway/src/http/dashboard/session/login-page.ts'
import { isForEvents, isForFile, logIdsOf } from '../../gateway/src/http/log/log-address.ts'
import { hostileTexts, listed, repeated, type Shapes } from './growth.ts'

const request = (more: object) => ({ method: 'GET', headers: {}, ...more }) as IncomingMessage
const address = (text: string) => request({ url: `/v1/deployments/${text}` })

const entry = (text: string) =>
  ({
    at: '2026-11-30T12:00:00.000Z',
    caller: { name: text },
    command: text,
    result: text,
    asked: { [text]: text },
    before: { a: text },
    after: { a: [text] },
    made: text,
  }) as never
const refused = (run: () => unknown) => {
  try {
    run()
  } catch {
    // the answer does not matter here
  }
}

const step = (name: string): BuildStep => ({
  name,
  status: 'done',
  ms: 1,
  cpuMs: null,
  peakMemoryBytes: null,
})

const finding = (text: string): Finding => ({ text, file: text, line: 1, code: text })

/** A deployment whose every text is this one. */
const deployment = (text: string) => {
  const version = { instanceId: text, image: text }
  const names = { commit: text, branch: text, author: text, message: text, trigger: text }
  return {
    id: text,
    app: text,
    number: 1,
    owner: text,
    state: 'build_failed',
    createdAt: '2026-11-30T12:00:00.000Z',
    endedAt: null,
    options: { ...names, env: { [text]: text } },
    triggeredBy: { name: text },
    source: { digest: text, files: 1, sizeBytes: 1, leftOut: [text] },
    plan: { builder: text, reason: text, versions: { [text]: text }, startCommand: text },
    bases: { [text]: text },
    image: { reference: text, digest: text },
    problem: { code: 'build-failed', title: text, detail: text, step: text, lastLines: [text] },
    warnings: [text],
    machines: [{ id: text, name: text, before: version, after: version, outcome: 'stuck' }],
    release: null,
  } as never
}

/** What pages show may be a megabyte long. Addresses and headers have 16 KiB at most. */
export const dashboard: Record<string, Shapes> = {
  'gateway/src/http/dashboard/deployment/facts-part.ts › factsPart': hostileTexts((text) =>
    factsPart(deployment(text), { since: [], currency: null }),
  ),
  'gateway/src/http/dashboard/deployment/caller-facts.ts › callerFacts': hostileTexts((text) =>
    callerFacts(deployment(text)),
  ),
  'gateway/src/http/dashboard/deployment/caller-facts.ts › callerText': hostileTexts((name) =>
    callerText({ name, kind: 'proxy' }),
  ),
  'gateway/src/http/dashboard/deployment/facts-part.ts › shortDigest': hostileTexts(shortDigest),
  'gateway/src/http/dashboard/deployment/machines-part.ts › machinesPart': hostileTexts((text) =>
    machinesPart(deployment(text)),
  ),
  'gateway/src/http/dashboard/deployment/verdict-part.ts › verdictPart': hostileTexts((text) =>
    verdictPart(deployment(text)),
  ),
  'api/text/event-words.ts › withoutCommand': hostileTexts((text) =>
    withoutCommand(`process "${text}" did not complete`),
  ),
  'api/text/render-verdict.ts › detailOf': hostileTexts((text) =>
    detailOf({ title: text, detail: text, step: text }),
  ),
  'gateway/src/http/dashboard/app/deployments-part.ts › deploymentsPart': hostileTexts((text) =>
    deploymentsPart({ app: text, owner: text }, [deployment(text)], text),
  ),
  'gateway/src/http/dashboard/app/deployments-part.ts › deploymentRows': hostileTexts((text) =>
    deploymentRows(deployment(text)),
  ),
  'gateway/src/http/dashboard/app/activity-part.ts › activityPart': {
    ...hostileTexts((text) => activityPart([entry(text)])),
    'many digests': (size) => {
      const text = repeated(`sha256:${'0'.repeat(64)}`, size)
      return () => activityPart([entry(text)])
    },
  },
  'gateway/src/http/dashboard/app/owner-of.ts › ownerOf': hostileTexts((owner) =>
    refused(() => ownerOf(new URLSearchParams({ owner }))),
  ),
  'gateway/src/http/dashboard/build/align-steps.ts › alignSteps': {
    ...hostileTexts((text) => alignSteps([step(text), step(`${text}a`)], [step(text)])),
    'many equal steps': (size) => {
      const steps = listed(size, 10, () => step('[1/2] RUN make'))
      return () => alignSteps(steps, steps)
    },
    'many other steps': (size) => {
      const [a, b] = ['a', 'b'].map((from) => listed(size, 10, (at) => step(`${from}${at}`)))
      return () => alignSteps(a!, b!)
    },
  },
  'gateway/src/http/dashboard/build/findings-part.ts › findingsPart': {
    ...hostileTexts((text) => findingsPart({ findings: [finding(text)], steps: [step(text)] })),
    'many findings and steps': (size) => {
      const texts = listed(size, 20, (at) => `RUN make part-${at}`)
      const [findings, steps] = [texts.map(finding), texts.map(step)]
      return () => findingsPart({ findings, steps })
    },
  },
  'gateway/src/http/dashboard/build/align-steps.ts › isRenamed': hostileTexts((text) =>
    isRenamed({ a: step(text), b: step(`${text}a`) }),
  ),
  'gateway/src/http/dashboard/build/what-changed.ts › whatChanged': hostileTexts((text) =>
    whatChanged(
      [{ name: text, a: text, b: null, differs: true, isCause: true }],
      [
        { a: step(text), b: null },
        { a: null, b: step(text) },
      ],
    ),
  ),
  'gateway/src/http/dashboard/build/build-model.ts › BuildModel': {
    'many events of many steps': (size) => {
      const events = listed(size, 10, (seq): DeploymentEvent => {
        const name = String(seq % 1000)
        return { seq, at: '2026', type: 'step', step: name, name, status: 'started' }
      })
      return () => {
        const model = new BuildModel()
        for (const event of events) model.take(event)
      }
    },
  },
  'gateway/src/http/dashboard/audit/filter-form.ts › filterForm': hostileTexts((text) =>
    filterForm(new URLSearchParams({ from: text, to: text, result: text })),
  ),
  'gateway/src/http/dashboard/callers/new-token-form.ts › readNewToken': hostileTexts((text) =>
    refused(() =>
      readNewToken(new URLSearchParams({ name: text, scopes: text, apps: text, expires: text })),
    ),
  ),
  'gateway/src/http/dashboard/parts/html.ts › html': {
    ...hostileTexts((text) => html`<p title="${text}">${text}</p>`),
    ...hostileTexts((text) => html`<a href="${text}">a</a><a href="/a/${text}">a</a>`),
  },
  'gateway/src/http/dashboard/parts/html.ts › attributes': hostileTexts((title) =>
    attributes({ title }),
  ),
  'gateway/src/http/dashboard/parts/html.ts › safeUrl': hostileTexts(safeUrl),
  'gateway/src/http/dashboard/log/coloured.ts › coloured': {
    ...hostileTexts(coloured),
    ...hostileTexts(coloured, (text) => `\x1b[31m${text}`),
    'many looks': (size) => {
      const line = repeated('\x1b[1;38;5;200ma', size)
      return () => coloured(line)
    },
  },
  'gateway/src/http/dashboard/log/group-heading.ts › groupName': hostileTexts((name) =>
    groupName({ name }),
  ),
  'gateway/src/http/dashboard/log/log-model.ts › LogModel': {
    ...hostileTexts((text) => {
      const model = new LogModel({ last: 100 })
      model.take({ seq: 1, at: '2026', type: 'log', step: null, stream: 'stdout', text })
      return model
    }),
    'many lines of many steps': (size) => {
      const events = listed(size, 10, (seq): DeploymentEvent => {
        const step = String(seq % 1000)
        return seq < 1000
          ? { seq, at: '2026', type: 'step', step, name: step, status: 'started' }
          : { seq, at: '2026', type: 'log', step, stream: 'stdout', text: 'a\n' }
      })
      return () => {
        const model = new LogModel({ last: 10 })
        for (const event of events) model.take(event)
      }
    },
  },
  'gateway/src/http/dashboard/log/log-layout.ts › cellsOf': hostileTexts(cellsOf),
  'gateway/src/http/dashboard/log/log-layout.ts › LogLayout': {
    'many lines that wrap': (size) => {
      const model = new LogModel()
      for (const seq of listed(size, 10, (at) => at + 1))
        model.take({ seq, at: '2026', type: 'log', step: null, stream: 'stdout', text: 'abcdefg' })
      return () => {
        const layout = new LogLayout(model.groups, () => true)
        layout.wrapAt(3)
        layout.update()
        return [...layout.places(layout.count - 100, layout.count)]
      }
    },
  },
  'gateway/src/http/dashboard/log/read-log.ts › windowOf': hostileTexts((text) =>
    windowOf(new URLSearchParams({ step: text, from: text })),
  ),
  'api/text/visible-text.ts › showControls': hostileTexts(showControls),
  'gateway/src/http/dashboard/session/cookie.ts › sessionCookieOf': {
    ...hostileTexts((cookie) => sessionCookieOf(request({ url: '/ui', headers: { cookie } }))),
    ...hostileTexts((text) => sessionCookieOf(request({ url: `/ui${text}` }))),
  },
  'gateway/src/http/dashboard/session/login-page.ts › ownPage': {
    ...hostileTexts(ownPage),
    ...hostileTexts((text) => ownPage(`/ui/${text}`)),
  },
  'gateway/src/http/dashboard/session/login-page.ts › pageBefore': hostileTexts((text) =>
    pageBefore(
      request({ method: 'POST', headers: { referer: `http://a/ui?next=${text}` } }) as Request,
    ),
  ),
  'gateway/src/http/log/log-address.ts › logIdsOf': hostileTexts((text) => logIdsOf(address(text))),
  'gateway/src/http/log/log-address.ts › isForEvents': hostileTexts((text) =>
    isForEvents(address(text)),
  ),
  'gateway/src/http/log/log-address.ts › isForFile': hostileTexts((text) =>
    isForFile(address(text)),
  ),
}
