import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import type { MachineConfig } from './machine-config.ts'

type Schema = { $ref?: string; properties?: Record<string, object>; additionalProperties?: boolean }
type Answers = Record<string, { content?: Record<string, { schema: Schema }> }>
type Document = {
  paths: Record<string, Record<string, { responses: Answers }>>
  components: { schemas: Record<string, Schema> }
}

const text = { type: 'string' }
const textOrNull = { type: 'string', nullable: true }
const list = { type: 'array' }
const duration = { type: ['string', 'integer'] }
const durations = { interval: duration, timeout: duration, grace_period: duration }

/**
 * Where Fly's answers differ from its own document: the schema, its real fields, and the source.
 */
const known: [schema: string, fields: Record<string, object>, source: string][] = [
  [
    'ErrorResponse',
    { status: { enum: ['unknown', 'insufficient_capacity', 'name_taken'] } },
    'fly-go flaps_error.go',
  ],
  ['App', { cname_target: text, app_role: text }, 'fly-go flaps_apps.go'],
  [
    'Lease',
    { status: text, data: { $ref: '#/components/schemas/Lease' } },
    'an envelope: fly-go flaps_machines.go',
  ],
  ['Machine', { version: text, cordoned: { type: 'boolean' } }, 'fly-go machine_types.go'],
  [
    'Volume',
    { attached_machine_id: textOrNull, attached_alloc_id: textOrNull },
    'fly-go volume_types.go',
  ],
  ['main.regionResponse', { Nearest: text, Regions: list }, 'PascalCase: fly-go flaps_platform.go'],
  ['main.getPlacementsResponse', { Regions: list }, 'PascalCase: fly-go flaps_platform.go'],
  [
    'fly.MachineService',
    { autostop: { type: ['string', 'boolean'] }, force_instance_key: textOrNull },
    'fly-go machine_types.go, MachineAutostop',
  ],
  ['fly.MachineCheck', durations, 'Go strings or integer nanoseconds: fly-go duration.go'],
  ['fly.MachineServiceCheck', durations, 'fly-go duration.go'],
  ['fly.StopConfig', { timeout: duration }, 'fly-go duration.go'],
]
/**
 * Calls that Fly has and its document lacks: `logs` as in fly-go's pull request 159, policies as in
 * superfly/docs: machines/guides-examples/network-policies.
 */
const undocumented = new Set([
  'GET /apps/{}/machines/{}/logs',
  'GET /apps/{}/network_policies',
  'POST /apps/{}/network_policies',
  'DELETE /apps/{}/network_policies/{}',
])

/**
 * Fly's OpenAPI document, which localfly's answers must match. It is applied more strictly than
 * written: an answer has only the named fields. Machine configs come from callers, and may have
 * more.
 */
export class FlySchema {
  /** A description of every answer that broke the document. */
  readonly breaches: string[] = []
  readonly #answers = new Map<string, Answers>()
  readonly #ajv = new Ajv({ strict: false, validateFormats: false, inlineRefs: false })
  readonly #compiled = new Map<string, ValidateFunction>()

  constructor() {
    const file = join(import.meta.dirname, 'openapi.json')
    const document = JSON.parse(readFileSync(file, 'utf8')) as Document
    const { schemas } = document.components
    for (const [name, fields] of known) Object.assign((schemas[name]!.properties ??= {}), fields)
    for (const [name, schema] of Object.entries(schemas))
      if (schema.properties && !name.startsWith('fly.')) schema.additionalProperties = false
    this.#ajv.addSchema(document, 'fly')
    for (const [path, methods] of Object.entries(document.paths))
      for (const [method, { responses }] of Object.entries(methods))
        this.#answers.set(callName(method, path), responses)
  }

  /** The status of a successful answer. The document has one for each call. */
  successOf(method: string, path: string): number {
    const answers = this.#answers.get(callName(method, path)) ?? {}
    return Number(Object.keys(answers).find((status) => status.startsWith('2')) ?? 200)
  }

  /**
   * Throws, and records a breach, when the call has no such answer. `path` may name its parameters
   * `{x}` or `:x`.
   */
  check(method: string, path: string, status: number, body: unknown): void {
    const call = callName(method, path)
    if (undocumented.has(call)) return
    const answers = this.#answers.get(call)
    const declared = answers?.[String(status)]
    // The document names few refusals, and all have one shape.
    const schema =
      status >= 400 ? { $ref: '#/components/schemas/ErrorResponse' } : contentOf(declared)
    const wrong = !answers
      ? 'no such call'
      : !declared && status < 400
        ? `no answer ${status}`
        : schema && this.#wrong(schema, JSON.parse(JSON.stringify(body ?? null)))
    if (!wrong) return
    this.breaches.push(`${call} ${status}: ${wrong}`)
    console.error(`localfly breaks Fly's API: ${call} ${status}: ${wrong}: ${JSON.stringify(body)}`)
    throw new Error(`localfly breaks Fly's API: ${call} ${status}: ${wrong}`)
  }

  /** Returns the error in a machine's config, or null. */
  wrongConfig(config: MachineConfig): string | null {
    return this.#wrong({ $ref: '#/components/schemas/fly.MachineConfig' }, config)
  }

  #wrong(schema: Schema, value: unknown): string | null {
    const key = JSON.stringify(schema)
    let validate = this.#compiled.get(key)
    if (!validate)
      this.#compiled.set(
        key,
        (validate = this.#ajv.compile(JSON.parse(key.replaceAll('"#/', '"fly#/')))),
      )
    if (validate(value)) return null
    const [{ instancePath, message, params }] = validate.errors as [
      NonNullable<ValidateFunction['errors']>[0],
    ]
    return `${instancePath || 'the body'} ${message} ${JSON.stringify(params)}`
  }
}

const callName = (method: string, path: string): string =>
  `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}|:\w+/g, '{}')}`

const contentOf = (answer: Answers[string] | undefined): Schema | undefined =>
  Object.values(answer?.content ?? {})[0]?.schema
