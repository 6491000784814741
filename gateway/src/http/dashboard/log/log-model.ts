/** A log as people read it: by step, with numbered lines. This file runs in browsers too. */
import type { DeploymentEvent, Waiting } from '#api/event.ts'
import { eventWords, withoutCommand } from '#api/text/event-words.ts'

export type LineKind = 'output' | 'error' | 'note' | 'warning' | 'failure'
export type Line = { text: string; kind: LineKind; at: string }
export type GroupStatus = 'started' | 'cached' | 'done' | 'failed' | 'stopped'

/**
 * A step of the build, or what the gateway did while the deployment was in one state. Numbers of
 * groups and of their lines count from 1, and are the same for every reader: links use them.
 */
export type Group = {
  readonly number: number
  /** The state that it is for. Null: a step. */
  readonly state: string | null
  readonly name: string
  status: GroupStatus
  startedAt: string
  /** How long it took. Null: it runs, or nobody measured it. */
  ms: number | null
  /** The last lines, without a gap. */
  lines: Line[]
  /** The number of the first of these lines. */
  first: number
  /** How many lines there are in all. */
  count: number
}

/** Which lines to hold: of one group those in a range, of each other group the last ones. */
export type Hold = { last: number; window?: { group: number; from: number; to: number } | null }

/** Takes the events of a log in order. Takes no event twice. */
export class LogModel {
  readonly groups: Group[] = []
  /** The number of the last event. */
  seq = 0
  /** What a pending deployment waits for. */
  waiting: Waiting | null = null
  /** Called before a group ends. */
  onEnd: (group: Group) => void = () => {}
  readonly #hold: Hold
  readonly #steps = new Map<string, Group>()
  #phase: Group | null = null

  constructor(hold: Hold = { last: Infinity }) {
    this.#hold = hold
  }

  take(event: DeploymentEvent): void {
    if (event.seq <= this.seq) return
    this.seq = event.seq
    if (event.type === 'state') this.#takeState(event)
    else if (event.type === 'step') this.#takeStep(event)
    else if (event.type === 'log') {
      const group = this.#groupOf(event.step, event.at)
      const kind = event.stream === 'stderr' ? 'error' : 'output'
      for (const text of linesOf(event.text)) this.#add(group, { text, kind, at: event.at })
    } else {
      if (event.type === 'waiting') this.waiting = event
      const step = event.type === 'dropped' ? event.step : null
      const kind = kinds[event.type] ?? 'note'
      this.#addAll(this.#groupOf(step, event.at), eventWords(event), kind, event.at)
    }
  }

  #takeState(event: DeploymentEvent & { type: 'state' }): void {
    const isFailure = event.state.endsWith('_failed')
    const isEnd = isFailure || endings.has(event.state)
    if (this.#phase?.status === 'started')
      this.#close(
        this.#phase,
        isFailure ? 'failed' : stoppedBy(event.state) ? 'stopped' : 'done',
        event.at,
      )
    // Back to `pending`: the gateway has restarted, and begins again.
    if (isEnd || event.state === 'pending')
      for (const group of this.groups)
        if (group.status === 'started') this.#close(group, 'stopped', event.at)

    this.waiting = null
    this.#phase = this.#newGroup(
      { state: event.state, name: event.state.replace('_', ' ') },
      event.at,
    )
    if (isEnd)
      this.#phase.status = isFailure ? 'failed' : stoppedBy(event.state) ? 'stopped' : 'done'
    if (event.reason !== undefined) this.#addAll(this.#phase, [event.reason], 'note', event.at)
  }

  #takeStep({ step, name, status, ms, error, at }: DeploymentEvent & { type: 'step' }): void {
    const known = this.#steps.get(step)
    const group = known ?? this.#newGroup({ state: null, name }, at)
    this.#steps.set(step, group)
    if (status === 'started') group.startedAt = at
    else this.onEnd(group)
    group.status = status
    group.ms = status === 'started' || status === 'cached' ? null : (ms ?? null)
    if (error !== undefined) this.#addAll(group, linesOf(withoutCommand(error)), 'failure', at)
  }

  /** Where an event belongs: to its step, else to the state that the deployment is in. */
  #groupOf(step: string | null, at: string): Group {
    const own = step === null ? undefined : this.#steps.get(step)
    this.#phase ??= this.#newGroup({ state: 'pending', name: 'pending' }, at)
    return own ?? this.#phase
  }

  #newGroup({ state, name }: Pick<Group, 'state' | 'name'>, startedAt: string): Group {
    const group: Group = {
      number: this.groups.length + 1,
      state,
      name,
      status: 'started',
      startedAt,
      ms: null,
      lines: [],
      first: 1,
      count: 0,
    }
    this.groups.push(group)
    return group
  }

  #close(group: Group, status: GroupStatus, at: string): void {
    this.onEnd(group)
    group.status = status
    group.ms = Math.max(0, Date.parse(at) - Date.parse(group.startedAt))
  }

  #addAll(group: Group, texts: string[], kind: LineKind, at: string): void {
    for (const text of texts) this.#add(group, { text: text.replace(/^ {3}/, ''), kind, at })
  }

  #add(group: Group, line: Line): void {
    const number = ++group.count
    const { last, window } = this.#hold
    if (window?.group === group.number) {
      if (number < window.from) group.first = number + 1
      else if (number <= window.to) group.lines.push(line)
      return
    }
    group.lines.push(line)
    // Cut now and then: to cut with every line would move all the others each time.
    if (group.lines.length > 2 * last) cutTo(group, last)
  }
}

/** Keeps the last lines of a group. */
export function cutTo(group: Group, last: number): void {
  const over = Math.max(0, group.lines.length - last)
  group.lines.splice(0, over)
  group.first += over
}

/** The lines of a text that ends with a line feed, or not. */
const linesOf = (text: string): string[] =>
  (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n')

const endings = new Set(['live', 'built', 'cancelled', 'superseded'])
const stoppedBy = (state: string) => state === 'cancelled' || state === 'superseded'
const kinds: Partial<Record<DeploymentEvent['type'], LineKind>> = {
  warning: 'warning',
  gap: 'warning',
  dropped: 'warning',
}

/** Whether a group is open unless its reader says otherwise: it runs, or it has failed. */
export const isOpenAtFirst = ({ status }: Group): boolean =>
  status === 'started' || status === 'failed'
