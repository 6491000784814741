import { z } from 'zod'
import { FlyError } from './fly-error.ts'
import { machinePath, parse, type Routes } from './routes.ts'
import type { FlyState, Machine } from './state.ts'

export function metadataRoutes(routes: Routes, state: FlyState): void {
  const on = routes.on.bind(routes)
  on('get', `${machinePath}/metadata`, ({ machine }) => machine.config.metadata ?? {})
  for (const method of ['put', 'patch'] as const)
    on(method, `${machinePath}/metadata`, ({ machine, body }) => {
      const request = parse(NewMetadata, body)
      if (request.machine_version && request.machine_version !== machine.instance_id)
        throw new FlyError(412, `failed_precondition: machine version is ${machine.instance_id}`)
      writeMetadata(
        state,
        machine,
        method === 'put' ? {} : machine.config.metadata,
        request.metadata,
      )
    })
  on('get', `${machinePath}/metadata/:key`, ({ machine, params }) => {
    const value = machine.config.metadata?.[params['key']!]
    if (value === undefined) throw new FlyError(404, 'not_found: metadata key not found')
    return { value }
  })
  on('post', `${machinePath}/metadata/:key`, ({ machine, params, body }) => {
    writeMetadata(state, machine, machine.config.metadata, {
      [params['key']!]: parse(MetadataValue, body).value,
    })
  })
  on('delete', `${machinePath}/metadata/:key`, ({ machine, params }) => {
    writeMetadata(state, machine, machine.config.metadata, { [params['key']!]: null })
  })
}

const NewMetadata = z.object({
  metadata: z.record(z.string(), z.string().nullable()),
  machine_version: z.string().optional(),
})
const MetadataValue = z.object({ value: z.string() })

/** Null and "" remove a key. */
function writeMetadata(
  state: FlyState,
  machine: Machine,
  old: Record<string, string> | null | undefined,
  more: Record<string, string | null>,
): void {
  const entries = Object.entries({ ...old, ...more }).filter((entry): entry is [string, string] =>
    Boolean(entry[1]),
  )
  machine.config = { ...machine.config, metadata: Object.fromEntries(entries) }
  state.save(machine)
}
