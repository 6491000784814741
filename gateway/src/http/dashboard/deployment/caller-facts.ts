import type { Deployment } from '#api/deployment.ts'
import { html, type Html } from '../parts/html.ts'

/** Who asked for a deployment, from where, and in which run of a CI system. */
export function callerFacts({
  triggeredBy,
  callerAddress,
  options,
}: Pick<Deployment, 'triggeredBy' | 'callerAddress' | 'options'>): [
  string,
  Html | string | null,
][] {
  const { trigger, 'ci-run': run } = options
  const by = triggeredBy && callerText(triggeredBy)
  return [
    ['Asked for by', by ? `${by}${trigger ? `, by ${trigger}` : ''}` : trigger],
    ['From', callerAddress],
    ['CI run', run && html`<a href="${run}">${run.replace(/^https?:\/\//, '')}</a>`],
  ]
}

/** The caller in words. Names of callers begin with their kind, so that each is unique. */
export function callerText({ name, kind }: NonNullable<Deployment['triggeredBy']>): string {
  const own = name.slice(name.indexOf(':') + 1)
  if (name.startsWith('tailscale-user:')) return `${own}, on the tailnet`
  if (name.startsWith('fly-machine:')) return `a machine of ${own} at Fly`
  if (kind === 'token') return `the token ${own}`
  if (kind === 'oidc') return `${name}, known by its issuer`
  return kind === 'gateway' ? 'the gateway itself' : name
}
