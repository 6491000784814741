import { isFinal, type Deployment } from './deployment.ts'
import type { DeploymentEvent, Waiting } from './event.ts'

/**
 * A deployment's log as lines for people: what curl prints and what the client prints. Begins with the seconds since the
 * deployment was born; each line ends with a line feed.
 */
export function renderEvent(event: DeploymentEvent, createdAt: string): string {
  const time = timeOf(event.at, createdAt)
  const lines = words(event).map((text) => `${time}  ${text}\n`)
  return lines.join('')
}

/** One line of our own between events, dated like them. */
export function renderLine(text: string, at: string, createdAt: string): string {
  return `${timeOf(at, createdAt)}  ${text}\n`
}

function timeOf(at: string, createdAt: string): string {
  const seconds = Math.max(0, Date.parse(at) - Date.parse(createdAt)) / 1000
  return `${seconds.toFixed(1).padStart(7)}s`
}

/** The last lines: the verdict, and the address, or what is wrong and what to do. */
export function renderVerdict(deployment: Deployment): string {
  const { state, app, problem, image, url } = deployment
  if (!isFinal(state)) return `\n${state}: deployment ${deployment.id} goes on\n`
  const lines = [`${state}: ${app}, deployment ${deployment.id}`]
  if (problem) lines.push(`${problem.title}. ${problem.detail}`)
  else if (state === 'built' && image) lines.push(image.reference)
  if (state === 'live' && url) lines.push(url)
  return `\n${lines.map((line) => `${clean(line)}\n`).join('')}`
}

function words(event: DeploymentEvent): string[] {
  switch (event.type) {
    case 'state':
      return [`=> ${event.state}${event.reason ? `: ${clean(event.reason)}` : ''}`]
    case 'step': {
      const took = event.ms === undefined || event.status === 'cached' ? '' : ` in ${(event.ms / 1000).toFixed(1)} s`
      if (event.status === 'started') return [`-> ${clean(event.name)}`]
      return [`   ${clean(event.name)}: ${event.status}${took}${event.error ? `: ${clean(event.error)}` : ''}`]
    }
    case 'log':
      return event.text
        .replace(/\r?\n$/, '')
        .split('\n')
        .map((line) => `   | ${clean(line)}`)
    case 'dropped':
      return [`   | … ${event.lines} lines (${inMb(event.bytes)}) are not kept`]
    case 'plan': {
      const versions = Object.entries(event.versions).map(([name, version]) => `${name} ${version}`)
      const facts = [
        event.planner,
        event.provider,
        ...versions,
        event.startCommand && `starts with ${event.startCommand}`,
      ]
      return [`   plan by ${clean(facts.filter(Boolean).join(', '))} (${clean(event.reason)})`]
    }
    case 'machine': {
      const more = [event.check, event.text].filter((text) => text !== undefined)
      return [`   machine ${event.machine} in ${event.region}: ${clean([event.status, ...more].join(', '))}`]
    }
    case 'waiting':
      return [`   waits for ${waitsFor(event)}${event.place > 1 ? `; number ${event.place} there` : ''}`]
    case 'warning':
      return [`   warning: ${clean(event.text)}`]
    case 'gap':
    case 'note':
      return [`   ${clean(event.text)}`]
  }
}

const inMb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
function waitsFor({ for: what, behind }: Waiting): string {
  if (what === 'lane') return `deployment ${behind}, which came before`
  if (what === 'ready') return 'the builder to be ready'
  if (what === 'app') return 'the other builds of its app'
  return what === 'builds' ? 'a free place among the builds' : 'a free place among the deploys'
}

// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const escapes = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g

/** Fit for a terminal: colours and cursor moves gone, of a line written over with CR what was left, the rest visible. */
function clean(text: string): string {
  return text
    .replaceAll(escapes, '')
    .replace(/\r+$/, '')
    .replace(/^[^]*\r/, '')
    .replaceAll(/(?!\t)\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
