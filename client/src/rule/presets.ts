import { flyIssuer, githubIssuer, gitlabIssuer } from '#api/callers/issuers.ts'
import { flyMachine, tailscale } from '#api/callers/rule.ts'
import { wrongUse } from '../option.ts'

/** Where the ids of a repository are looked up, because its name may pass to somebody else. */
export type LookUp = { kind: 'github' | 'gitlab'; path: string; server: string }

/** Whom a rule is for. */
export type Preset = {
  name: string
  issuer: string
  claims: Record<string, string[]>
  lookUp: LookUp | null
  /** What its user has to do beside. */
  next: (gateway: string, aud: string) => string[]
}

type Values = {
  github?: string | undefined
  gitlab?: string | undefined
  fly?: string | undefined
  tailscale?: string | undefined
  'fly-6pn'?: string | undefined
  issuer?: string | undefined
  branch?: string | undefined
  environment?: string | undefined
  'pull-requests': boolean
}

/**
 * Events whose jobs run what somebody with write access has pushed. Not among them: `pull_request`,
 * and events that strangers cause but that run with the rights of the main branch
 * (`pull_request_target`, `issue_comment`, `workflow_run`).
 */
const githubEvents = [
  'push',
  'workflow_dispatch',
  'schedule',
  'release',
  'merge_group',
  'deployment',
]
const gitlabSources = ['push', 'web', 'schedule', 'api', 'trigger']

/** The preset that the options name. Null: none. */
export function readPreset(values: Values): Preset | null {
  const kinds = ['github', 'gitlab', 'fly', 'tailscale', 'fly-6pn'] as const
  const named = kinds.filter((kind) => values[kind] !== undefined)
  if (named.length > 1) throw wrongUse(`Give --${named[0]} or --${named[1]}, not both.`)
  const [kind] = named
  const isJob = kind === 'github' || kind === 'gitlab'
  for (const flag of ['branch', 'environment', 'pull-requests'] as const)
    if (values[flag] && !isJob) throw wrongUse(`--${flag} is for --github and --gitlab.`)
  if (values.branch && values['pull-requests'])
    throw wrongUse(
      'Give --branch or --pull-requests, not both: a pull request has a ref of its own.',
    )
  if (values.issuer && kind && !isJob)
    throw wrongUse(`--${kind} has its own issuer; leave --issuer out.`)
  return kind ? presets[kind](values[kind]!, values) : null
}

type Kind = 'github' | 'gitlab' | 'fly' | 'tailscale' | 'fly-6pn'
const presets: Record<Kind, (given: string, values: Values) => Preset> = {
  github(path, values) {
    if (!/^[\w.-]+\/[\w.-]+$/.test(path))
      throw wrongUse(`--github is given a repository as OWNER/REPO, not ${path}.`)
    const { branch, environment, issuer = githubIssuer, 'pull-requests': pulls } = values
    return {
      name: nameOf('github', path, values),
      issuer,
      claims: {
        repository: [path],
        ...(branch && { ref: [`refs/heads/${branch}`] }),
        ...(environment && { environment: [environment] }),
        event_name: pulls ? ['pull_request'] : githubEvents,
      },
      lookUp: issuer === githubIssuer ? { kind: 'github', path, server: '' } : null,
      next: (gateway, aud) => [
        'In the workflow, without any secret:',
        '  permissions: { id-token: write, contents: read }',
        `  env: { TARMAC_GATEWAY: ${gateway}${addAud(gateway, aud)} }`,
      ],
    }
  },
  gitlab(path, values) {
    if (!/^[\w.-]+(?:\/[\w.-]+)+$/.test(path))
      throw wrongUse(`--gitlab is given a project as GROUP/PROJECT, not ${path}.`)
    const { branch, environment, issuer = gitlabIssuer, 'pull-requests': pulls } = values
    return {
      name: nameOf('gitlab', path, values),
      issuer,
      claims: {
        project_path: [path],
        // Not `ref`: a merge request of a fork has the name of its branch there.
        ...(branch && { ref_path: [`refs/heads/${branch}`] }),
        ...(environment && { environment: [environment] }),
        pipeline_source: pulls ? ['merge_request_event'] : gitlabSources,
      },
      lookUp: { kind: 'gitlab', path, server: issuer },
      next: (gateway, aud) => [
        'In the job, without any secret:',
        `  id_tokens: { TARMAC_ID_TOKEN: { aud: ${aud} } }`,
        `  variables: { TARMAC_GATEWAY: ${gateway}${addAud(gateway, aud)} }`,
      ],
    }
  },
  fly(given) {
    const [org = '', app, ...more] = given.split('/')
    if (!/^[a-z0-9-]+$/.test(org) || more.length > 0 || app === '')
      throw wrongUse(`--fly is given an organisation or an app as ORG/APP, not ${given}.`)
    return {
      name: `fly:${given}`,
      issuer: flyIssuer(org),
      claims: { org_name: [org], ...(app && { app_name: [app] }) },
      lookUp: null,
      next: (gateway, aud) => [
        `In the machine, without any secret: TARMAC_GATEWAY=${gateway}${addAud(gateway, aud)}`,
      ],
    }
  },
  tailscale: (login) => ({
    name: `tailscale:${login === '*' ? 'everybody' : login}`,
    issuer: tailscale,
    claims: login.startsWith('@') ? { domain: [login.slice(1)] } : { login: [login.toLowerCase()] },
    lookUp: null,
    next: () => [
      'The gateway’s setting TARMAC_TRUSTED_PROXIES must name the proxy: tailscale=ADDRESS',
    ],
  }),
  'fly-6pn': (app) => ({
    name: `fly-6pn:${app}`,
    issuer: flyMachine,
    claims: { app_name: [app] },
    lookUp: null,
    next: () => ['The gateway’s setting TARMAC_TRUSTED_PROXIES must name Fly’s proxy: fly=ADDRESS'],
  }),
}

function nameOf(kind: string, path: string, values: Values): string {
  const { branch, environment } = values
  const parts = [
    branch ? `@${branch}` : '',
    environment ? `:${environment}` : '',
    values['pull-requests'] ? ':pull-requests' : '',
  ]
  return `${kind}:${path}${parts.join('')}`.replaceAll(/[^\w.@:/-]/g, '-').slice(0, 100)
}

const addAud = (gateway: string, aud: string) =>
  gateway === aud ? '' : `, TARMAC_AUDIENCE: ${aud}`
