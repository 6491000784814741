import { Problem } from '../problem.ts'
import { readPattern, type Token } from './ignore-tokens.ts'

/** Limits for ignore patterns. BuildKit has no such limits; real sources stay far below them. */
const ignoreLimits = {
  patterns: 10_000,
  /** Characters of one pattern. No path has more than 1024 bytes. */
  patternChars: 2048,
  /** Characters of all patterns together. */
  allChars: 256 * 1024,
  /** Steps of the matcher for one tree: at most about a second of work. */
  steps: 100_000_000,
}

const slash = 0x2f
/** Cost of a step that is taken for the first time. */
const stepCost = 4
/** Members of all cached lists of states: some 50 MB at most. */
const keptMembers = 500_000

/** A loop stays in its state for any characters: of one name (`*`) or of the whole path (`**`). */
type Loop = 'name' | 'path' | null

/** A state of the automaton. Patterns with the same beginning share states. */
class State {
  readonly id: number
  readonly loop: Loop
  /** Rules whose pattern ends in this state. */
  rules: number[] = []
  /** Next state by character. Created on demand: most states have none or few. */
  literals: Map<number, State> | null = null
  /** Next state for any one character of a name. */
  any: State | null = null
  /** Next state after any slash. */
  afterSlash: State | null = null
  classes: Map<string, { holds: (char: number) => boolean; to: State }> | null = null
  /** States entered together with this one, by kind. */
  free: Map<string, State> | null = null
  /** Number of the last list that this state was added to. */
  entry = 0
  /** Whether more characters can lead to the end of an exception. */
  leadsToException = false

  constructor(id: number, loop: Loop) {
    this.id = id
    this.loop = loop
  }
}

/** A list of states that the patterns can be in, with the known next lists. */
export type States = {
  readonly members: readonly State[]
  /** The rules that match the whole path so far, in order. */
  readonly matched: readonly number[]
  readonly next: Map<number, States>
}

/**
 * All ignore patterns of a source in one automaton (Thompson's). It matches a path against all
 * patterns at once, character by character, without backtracking. Transitions are cached, so most
 * steps are one lookup.
 */
export class IgnorePatterns {
  /** By rule number: whether the rule is an exception (`!`). */
  readonly exceptions: boolean[] = []
  readonly start: States
  readonly #known = new Map<string, States>()
  #membersLeft = keptMembers
  #stepsLeft = ignoreLimits.steps
  #entry = 0
  #stateCount = 0

  constructor(patterns: readonly string[]) {
    checkLimits(patterns)
    const start = this.#newState(null)
    for (const line of patterns) {
      const rule = readPattern(line)
      if (rule !== null) this.#add(start, rule.tokens, this.exceptions.push(rule.isException) - 1)
    }
    this.start = this.#statesOf([start])
  }

  /** The states after these characters of a path. */
  follow(from: States, text: string): States {
    let states = from
    let chars = 0
    for (const character of text) {
      if (states.members.length === 0) break
      const char = character.codePointAt(0)!
      states = states.next.get(char) ?? this.#step(states, char)
      chars++
    }
    this.spend(chars)
    return states
  }

  /** Whether a path that goes on from these states can match an exception. */
  mayMatchException(states: States): boolean {
    return states.members.some(({ leadsToException }) => leadsToException)
  }

  /** Counts steps. Throws `ignore-limit` when there are too many. */
  spend(steps: number): void {
    this.#stepsLeft -= steps
    if (this.#stepsLeft >= 0) return
    const detail = `The ignore patterns take too much work for this tree: ${this.exceptions.length} patterns, and more than ${ignoreLimits.steps} steps. Write fewer of them, with fewer wildcards.`
    throw new Problem('ignore-limit', detail, { facts: { limit: ignoreLimits.steps } })
  }

  #step(states: States, char: number): States {
    const next: State[] = []
    const inName = char !== slash
    this.#entry++

    for (const state of states.members) {
      if (state.loop === 'path' || (inName && state.loop === 'name')) this.#enter(next, state)
      const literal = state.literals?.get(char)
      if (literal) this.#enter(next, literal)
      if (inName && state.any) this.#enter(next, state.any)
      if (!inName && state.afterSlash) this.#enter(next, state.afterSlash)
      if (!state.classes) continue
      for (const { holds, to } of state.classes.values()) if (holds(char)) this.#enter(next, to)
      this.spend(stepCost * state.classes.size)
    }

    const found = this.#withFree(next)
    if (this.#membersLeft > 0) states.next.set(char, found)
    this.#membersLeft--
    return found
  }

  #statesOf(first: State[]): States {
    this.#entry++
    const members: State[] = []
    for (const state of first) this.#enter(members, state)
    return this.#withFree(members)
  }

  /** Adds a state to the list, unless it is there already. */
  #enter(members: State[], state: State): void {
    if (state.entry === this.#entry) return
    state.entry = this.#entry
    members.push(state)
  }

  /**
   * Adds the states that are entered together with these. Returns the cached list for the same
   * members, while the cache has room.
   */
  #withFree(members: State[]): States {
    // The list grows while the loop reads it: a free state may have free states itself.
    for (const state of members)
      if (state.free) for (const free of state.free.values()) this.#enter(members, free)
    this.spend(stepCost * (members.length + 1))

    const key = members.map(({ id }) => id).join()
    const known = this.#known.get(key)
    if (known) return known

    const rules = members.flatMap((state) => state.rules)
    const found = {
      members,
      matched: rules.toSorted((a, b) => a - b),
      next: new Map<number, States>(),
    }
    this.spend(stepCost * rules.length)
    this.#membersLeft -= members.length + rules.length
    if (this.#membersLeft > 0) this.#known.set(key, found)
    return found
  }

  #newState(loop: Loop): State {
    return new State(this.#stateCount++, loop)
  }

  #add(start: State, tokens: Token[], rule: number): void {
    let state = start
    for (const token of tokens) {
      const before = state
      state = nextState(state, token, (loop) => this.#newState(loop))
      if (!this.exceptions[rule]) continue
      state.leadsToException = true
      // The loop over any folders leads to the same state.
      const loop = token.kind === 'folders' ? before.free?.get('folders') : undefined
      if (loop) loop.leadsToException = true
    }
    state.rules.push(rule)
  }
}

/** The state behind a token. Created if it does not exist. */
function nextState(state: State, token: Token, newState: (loop: Loop) => State): State {
  switch (token.kind) {
    case 'literal':
      state.literals ??= new Map()
      return kept(state.literals, token.char, () => newState(null))
    case 'any':
      return (state.any ??= newState(null))
    case 'class': {
      state.classes ??= new Map()
      const made = () => ({ holds: token.holds, to: newState(null) })
      return kept(state.classes, token.text, made).to
    }
    case 'name':
    case 'path':
      state.free ??= new Map()
      return kept(state.free, token.kind, () => newState(token.kind))
    case 'folders': {
      // Any folders or none: the next state is entered at once, and behind every slash of the loop.
      state.free ??= new Map()
      const behind = kept(state.free, 'none', () => newState(null))
      const loop = kept(state.free, 'folders', () => newState('path'))
      loop.afterSlash = behind
      return behind
    }
  }
}

function kept<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}

function checkLimits(patterns: readonly string[]): void {
  const { patterns: count, patternChars, allChars } = ignoreLimits
  const long = patterns.find(({ length }) => length > patternChars)
  const all = patterns.reduce((sum, { length }) => sum + length, 0)
  if (patterns.length <= count && long === undefined && all <= allChars) return
  const what = long === undefined ? '' : ` One begins with ${JSON.stringify(long.slice(0, 50))}.`
  const detail = `There are ${patterns.length} ignore patterns with ${all} characters. At most ${count} are taken, with ${patternChars} characters each and ${allChars} in all.${what} Write fewer or shorter ones.`
  throw new Problem('ignore-limit', detail, {
    facts: { limits: { patterns: count, patternChars, allChars } },
  })
}
