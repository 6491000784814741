import type { Draft } from './draft.ts'
import { addStep, builderImage, localLayer, say, setting } from './draft.ts'
import { bakedTools } from '../pins.ts'
import { readYamlMap } from './yaml-map.ts'

/** The folder that a static site is served from, or null for another app. */
export function staticRoot(draft: Draft): string | null {
  const asked =
    setting(draft, 'STATIC_FILE_ROOT') || readYamlMap(draft.files.read('Staticfile'))['root']
  if (asked) return asked
  if (draft.files.has('public')) return 'public'
  return draft.files.has('index.html') ? '.' : null
}

/** A folder of files over HTTP, served by caddy as railpack does it. */
export function planStatic(draft: Draft): void {
  const root = staticRoot(draft) ?? '.'
  say(draft, 'info', `Using staticfile root dir: ${root}`)
  addCaddy(draft)
  addStep(draft, 'build', {
    inputs: [{ step: 'packages:caddy' }, localLayer],
    ...caddyfileStep(draft, 'Caddyfile', root, false),
  })
  draft.deploy.inputs.push({ step: 'build', include: ['.'] })
  draft.deploy.startCommand = start('Caddyfile')
}

/**
 * Serves the pages that a Node build leaves in a folder. Every address without a file gets the
 * index page.
 */
export function planPages(draft: Draft, folder: string): void {
  addCaddy(draft)
  addStep(draft, 'caddy', {
    inputs: [{ step: 'packages:caddy' }],
    ...caddyfileStep(draft, '/Caddyfile', `/app/${folder}`, true),
  })
  draft.deploy.inputs.push(
    { step: 'caddy', include: ['/Caddyfile'] },
    { step: 'build', include: [folder] },
  )
  draft.deploy.startCommand = start('/Caddyfile')
}

const start = (caddyfile: string) => `caddy run --config ${caddyfile} --adapter caddyfile 2>&1`

function addCaddy(draft: Draft): void {
  const folder = '/railpack/caddy'
  addStep(draft, 'packages:caddy', {
    inputs: [{ image: builderImage }],
    commands: [
      { cmd: `mise install-into caddy@${bakedTools.caddy} ${folder}` },
      { path: folder },
      { path: `${folder}/bin` },
    ],
    variables: { MISE_PARANOID: '1' },
    secrets: [],
  })
  draft.deploy.inputs.push({ step: 'packages:caddy', include: [folder] })
}

function caddyfileStep(draft: Draft, path: string, root: string, indexFallback: boolean) {
  const asked = readYamlMap(draft.files.read('Staticfile'))['index_fallback']
  const text =
    draft.files.read('Caddyfile') || caddyfile(root, asked ? asked === 'true' : indexFallback)
  return {
    commands: [{ path, name: 'Caddyfile' }, { cmd: `caddy fmt --overwrite ${path}` }],
    assets: { Caddyfile: text },
  }
}

const caddyfile = (root: string, indexFallback: boolean) => `{
	admin off
	auto_https off
}

:{$PORT:80} {
	root * ${root}
	encode gzip
	header X-Content-Type-Options nosniff
	respond /health 200
	try_files {path} {path}.html {path}/index.html${indexFallback ? ' /index.html' : ''}
	file_server {
		hide .git .env*
	}
	handle_errors {
		rewrite * /{err.status_code}.html
		file_server
	}
}
`
