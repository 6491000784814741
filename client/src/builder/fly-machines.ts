import { z } from 'zod'
import { Problem } from '#api/problem.ts'

export type FlyAccess = { baseUrl: string; token: string }

const Guest = z.looseObject({
  cpu_kind: z.string(),
  cpus: z.number(),
  memory_mb: z.number(),
})
const Machine = z.looseObject({
  id: z.string(),
  state: z.string(),
  region: z.string(),
  host_status: z.string().optional(),
  config: z.looseObject({ guest: Guest.optional() }).nullish(),
})
export type BuilderMachine = z.infer<typeof Machine>
const Volume = z.looseObject({
  id: z.string(),
  size_gb: z.number().nullish(),
  attached_machine_id: z.string().nullish(),
})
export type BuilderVolume = z.infer<typeof Volume>
const Said = z.object({
  exit_code: z.number().nullish(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
})

const answerMs = 15_000

/** The machines of the app that are not destroyed, and its volumes. */
export async function machinesOf(fly: FlyAccess, app: string, signal: AbortSignal) {
  const path = `/v1/apps/${app}`
  const [machines, volumes] = await Promise.all([
    read(fly, { path: `${path}/machines` }, z.array(Machine).nullable(), signal),
    read(fly, { path: `${path}/volumes` }, z.array(Volume).nullable(), signal),
  ])
  return {
    machines: (machines ?? []).filter(({ state }) => !state.startsWith('destroy')),
    volumes: volumes ?? [],
  }
}

/** Runs a command in a started machine. Returns what it printed, or throws with its last words. */
export async function runInMachine(
  fly: FlyAccess,
  { app, id }: { app: string; id: string },
  { command, seconds }: { command: string[]; seconds: number },
  signal: AbortSignal,
): Promise<{ code: number; stdout: string }> {
  const path = `/v1/apps/${app}/machines/${id}/exec`
  const call = { path, body: { command, timeout: seconds }, withinMs: (seconds + 10) * 1000 }
  const said = await read(fly, call, Said, signal)
  if (said.stdout) return { code: said.exit_code ?? 0, stdout: said.stdout }
  const why = (said.stderr ?? '').trim() || 'it printed nothing'
  const detail = `${command.join(' ')} in machine ${id} ended with exit code ${said.exit_code ?? 'unknown'}: ${why}`
  throw new Problem('fly-refused', detail)
}

async function read<T>(
  { baseUrl, token }: FlyAccess,
  call: { path: string; body?: object; withinMs?: number },
  answer: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const { path, body, withinMs = answerMs } = call
  const authorization = token.startsWith('FlyV1 ') ? token : `Bearer ${token}`
  const response = await fetch(baseUrl.replace(/\/$/, '') + path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(withinMs)]),
  }).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw new Problem('fly-unavailable', `Fly's Machines API at ${baseUrl} did not answer.`, {
      cause,
    })
  })

  const text = await response.text()
  if (response.ok) {
    const known = answer.safeParse(JSON.parse(text))
    if (known.success) return known.data
    throw new Problem('fly-refused', `Fly gave an answer to ${path} that this client cannot read.`)
  }
  const said = text.slice(0, 200)
  if (response.status === 404)
    throw new Problem(
      'app-not-found',
      `Fly has no such thing in reach of this token: ${path} (${said})`,
    )
  if (response.status === 401 || response.status === 403)
    throw new Problem(
      'fly-denied',
      `Fly refused the token in FLY_API_TOKEN (${response.status} ${said}). Make one of your organisation: fly tokens create org ORG`,
    )
  throw new Problem('fly-unavailable', `Fly answered ${response.status} to ${path}: ${said}`)
}
