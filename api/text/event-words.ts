import type { DeploymentEvent, Waiting } from '../event.ts'
import { inMb } from './in-mb.ts'
import { shortStep } from './short-step.ts'
import { visible } from './visible-text.ts'

/** An event as lines for people, without its time. Output and details are indented. */
export function eventWords(event: DeploymentEvent): string[] {
  switch (event.type) {
    case 'state': {
      const by = event.triggeredBy ? ` by ${event.triggeredBy.name}` : ''
      return block('', `=> ${event.state}${by}${event.reason ? `: ${event.reason}` : ''}`)
    }
    case 'step': {
      const took =
        event.ms === undefined || event.status === 'cached'
          ? ''
          : ` in ${(event.ms / 1000).toFixed(1)} s`
      if (event.status === 'started') return [`-> ${visible(event.name)}`]
      // The line at the start of the step has its whole command.
      const name = event.status === 'failed' ? shortStep(event.name) : event.name
      const error = event.error ? `: ${withoutCommand(event.error)}` : ''
      return block('   ', `${name}: ${event.status}${took}${error}`)
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
      const what = `machine ${event.machine} in ${event.region}: ${[event.status, ...more].join(', ')}`
      return block('   ', what)
    }
    case 'release':
    case 'drift':
      return block('   ', event.text)
    case 'waiting':
      return [
        `   waits for ${waitsFor(event)}${event.place > 1 ? `; position ${event.place}` : ''}`,
      ]
    case 'warning': {
      const place = [event.file, event.line].filter((part) => part !== undefined).join(':')
      return block('   ', `warning: ${place && `${place}: `}${event.text}`)
    }
    case 'gap':
    case 'note':
      return block('   ', event.text)
  }
}

/** The lines of a text. All but the first are indented more. */
const block = (indent: string, text: string): string[] =>
  text
    .replace(/\n$/, '')
    .split('\n')
    .map((line, at) => `${indent}${at > 0 ? '  ' : ''}${visible(line)}`)

/** What the build daemon says of a failed step, without the command, which it quotes. */
export const withoutCommand = (error: string): string =>
  error.replace(/^process ".*" did not complete successfully: /s, '')

/** What a pending deployment waits for. */
export function waitsFor({ for: what, behind }: Waiting): string {
  if (what === 'lane') return `the earlier deployment ${visible(behind ?? '')}`
  if (what === 'ready') return 'the gateway to be ready'
  if (what === 'paused') return 'the queue to be resumed: an operator has paused it'
  if (what === 'recovery')
    return 'deployments that ran when the gateway died: they run one at a time'
  if (what === 'app') return 'the other builds of its app'
  if (what === 'team')
    return 'other builds of its team, which has as many at once as its quota allows'
  return what === 'builds' ? 'a free build slot' : 'a free deploy slot'
}
