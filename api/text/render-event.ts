import { isFinal, type Deployment } from '../deployment.ts'
import type { DeploymentEvent, Waiting } from '../event.ts'
import { inMb } from './in-mb.ts'
import { visible, visibleLines } from './visible-text.ts'

/**
 * Renders an event as text for people, as curl and the client print it. Each line starts with the
 * seconds since the deployment was created, and ends with a line feed.
 */
export function renderEvent(event: DeploymentEvent, createdAt: string): string {
  const time = timeOf(event.at, createdAt)
  const lines = words(event).map((text) => `${time}  ${text}\n`)
  return lines.join('')
}

/** Renders one line between events, with the same time format. */
export function renderLine(text: string, at: string, createdAt: string): string {
  return `${timeOf(at, createdAt)}  ${text}\n`
}

function timeOf(at: string, createdAt: string): string {
  const seconds = Math.max(0, Date.parse(at) - Date.parse(createdAt)) / 1000
  return `${seconds.toFixed(1).padStart(7)}s`
}

type Verdict = Pick<Deployment, 'id' | 'app' | 'state' | 'url'> & {
  image: { reference: string } | null
  problem: { title: string; detail: string } | null
  machines?: { id: string; warning?: string | undefined }[] | undefined
}

/**
 * Renders the last lines: the verdict, then the URL or the problem. A live app may have warnings of
 * its machines.
 */
export function renderVerdict(deployment: Verdict): string {
  const { state, app, problem, image, url, machines = [] } = deployment
  if (!isFinal(state)) return `\n${state}: deployment ${deployment.id} continues\n`
  const lines = [`${state}: ${app}, deployment ${deployment.id}`]
  if (problem) lines.push(`${problem.title}. ${problem.detail}`)
  else if (state === 'built' && image) lines.push(image.reference)
  if (state === 'live')
    for (const { id, warning } of machines)
      if (warning) lines.push(`warning: Machine ${id}: ${warning}`)
  if (state === 'live' && url) lines.push(url)
  return `\n${lines.map((line) => `${visibleLines(line)}\n`).join('')}`
}

function words(event: DeploymentEvent): string[] {
  switch (event.type) {
    case 'state':
      return [`=> ${visible(event.state)}${event.reason ? `: ${visible(event.reason)}` : ''}`]
    case 'step': {
      const took =
        event.ms === undefined || event.status === 'cached'
          ? ''
          : ` in ${(event.ms / 1000).toFixed(1)} s`
      if (event.status === 'started') return [`-> ${visible(event.name)}`]
      return [
        `   ${visible(event.name)}: ${event.status}${took}${event.error ? `: ${visible(event.error)}` : ''}`,
      ]
    }
    case 'log':
      return event.text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => `   | ${visible(line)}`)
    case 'dropped':
      return [`   | … ${event.lines} lines (${inMb(event.bytes, 1)}) are not kept`]
    case 'plan': {
      const versions = Object.entries(event.versions).map(([name, version]) => `${name} ${version}`)
      const facts = [
        event.planner,
        event.provider,
        ...versions,
        event.startCommand && `starts with ${event.startCommand}`,
      ]
      return [`   plan by ${visible(facts.filter(Boolean).join(', '))} (${visible(event.reason)})`]
    }
    case 'machine': {
      const more = [event.check, event.text].filter((text) => text !== undefined)
      return [
        visible(
          `   machine ${event.machine} in ${event.region}: ${[event.status, ...more].join(', ')}`,
        ),
      ]
    }
    case 'waiting':
      return [
        `   waits for ${waitsFor(event)}${event.place > 1 ? `; position ${event.place}` : ''}`,
      ]
    case 'warning':
      return [`   warning: ${visible(event.text)}`]
    case 'gap':
    case 'note':
      return [`   ${visible(event.text)}`]
  }
}

function waitsFor({ for: what, behind }: Waiting): string {
  if (what === 'lane') return `the earlier deployment ${visible(behind ?? '')}`
  if (what === 'ready') return 'the gateway to be ready'
  if (what === 'recovery')
    return 'deployments that ran when the gateway died: they run one at a time'
  if (what === 'app') return 'the other builds of its app'
  return what === 'builds' ? 'a free build slot' : 'a free deploy slot'
}
