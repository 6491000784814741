import type { DeploymentEvent } from '#api/event.ts'

type Event<Type extends DeploymentEvent['type']> = DeploymentEvent & { type: Type }

/** A step of a build, as its log has it. Times in milliseconds. Null: not measured, or it did not run. */
export type BuildStep = {
  readonly name: string
  status: Event<'step'>['status']
  ms: number | null
  cpuMs: number | null
  peakMemoryBytes: number | null
}
/** A finding of the linter of Dockerfiles. */
export type Finding = {
  text: string
  file: string
  line: number | null
  /** The instruction there. */
  code: string | null
}

/** No page shows more. A plan may have thousands of steps. */
const maxSteps = 500
const maxFindings = 200
const nameChars = 1000

/** What the log says of a build, without its output. */
export class BuildModel {
  readonly findings: Finding[] = []
  /** How many steps are not held here. */
  omitted = 0
  readonly #steps = new Map<string, BuildStep>()

  get steps(): BuildStep[] {
    return [...this.#steps.values()]
  }

  take(event: DeploymentEvent): void {
    if (event.type === 'step') this.#takeStep(event)
    else if (event.type === 'warning') this.#takeWarning(event)
  }

  #takeStep({ step: id, name, status, ms, cpuMs, peakMemoryBytes }: Event<'step'>): void {
    if (this.#steps.size === maxSteps && !this.#steps.has(id)) {
      if (status === 'started' || status === 'cached') this.omitted++
      return
    }
    const step = this.#steps.get(id) ?? newStep(name)
    this.#steps.set(id, step)
    // A second try takes from the cache what the first one ran.
    if (status === 'cached' && step.status === 'done') return
    step.status = status
    step.ms = ms ?? step.ms
    step.cpuMs = cpuMs ?? step.cpuMs
    step.peakMemoryBytes = peakMemoryBytes ?? step.peakMemoryBytes
  }

  #takeWarning({ text, file, line, code }: Event<'warning'>): void {
    const isKnown = this.findings.some(
      (each) => each.text === text && each.file === file && each.line === (line ?? null),
    )
    if (file !== undefined && !isKnown && this.findings.length < maxFindings)
      this.findings.push({ text, file, line: line ?? null, code: code ?? null })
  }
}

const newStep = (name: string): BuildStep => ({
  name: name.slice(0, nameChars),
  status: 'started',
  ms: null,
  cpuMs: null,
  peakMemoryBytes: null,
})
