import { basename, dirname } from 'node:path'
import type { Draft, Step } from './draft.ts'
import { addCache, addStep, localLayer, say, setting, useTool } from './draft.ts'
import { versionFrom } from './mise-step.ts'

const hasModule = ({ files }: Draft) => files.has('go.mod')
const hasWorkspace = ({ files }: Draft) => files.has('go.work')
const usesC = ({ env }: Draft) => env['CGO_ENABLED'] === '1'

export const isGo = (draft: Draft): boolean =>
  hasModule(draft) || hasWorkspace(draft) || draft.files.has('main.go')

/**
 * A Go module, a workspace, or a lone main.go, as railpack plans it. The source is in
 * `core/providers/golang/golang.go` of railpack v0.37.0.
 */
export function planGo(draft: Draft): void {
  useTool(draft, 'go', versionFrom(draft, ['.go-version'], 'GO_VERSION') ?? moduleVersion(draft))
  const install = addStep(draft, 'install', {
    inputs: [{ step: 'packages:mise' }],
    variables: { GOPATH: '/go', GOBIN: '/go/bin' },
    commands: [{ path: '/go/bin' }],
  })
  if (hasModule(draft) || hasWorkspace(draft)) addDownload(draft, install)

  const command = buildCommand(draft)
  addStep(draft, 'build', {
    inputs: [{ step: 'install' }, localLayer],
    commands: command ? [{ cmd: command }] : [],
    caches: command ? [buildCache(draft)] : [],
  })
  draft.deploy.startCommand = './out'
  draft.deploy.inputs.push({ step: 'build', include: ['.'] })
  if (usesC(draft)) {
    say(draft, 'info', 'CGO is enabled')
    draft.buildAptPackages.push('gcc', 'g++', 'libc6-dev')
    draft.deploy.aptPackages.push('libc6')
  }
  addMetadata(draft)
}

const buildCache = (draft: Draft) => addCache(draft, 'go-build', '/root/.cache/go-build')

function moduleVersion({ files }: Draft): { version: string; source: string } {
  const asked = /^\s*go\s+(\S+)/m.exec(files.read('go.mod'))?.[1]
  return asked
    ? { version: asked, source: 'go.mod' }
    : { version: '1.25', source: 'railpack default' }
}

/** Downloads the modules with nothing of the app but its lists of modules. */
function addDownload(draft: Draft, install: Step): void {
  const { files } = draft
  const lists = [
    ...(hasModule(draft) ? ['go.mod', 'go.sum'] : []),
    ...(hasWorkspace(draft) ? ['go.work', 'go.work.sum'] : []),
    ...innerModules(draft).flatMap((folder) => [`${folder}/go.mod`, `${folder}/go.sum`]),
  ]
  const copied = lists.filter((path) => files.has(path)).map((path) => ({ src: path, dest: path }))
  install.commands.push(...copied, { cmd: 'go mod download' })
  install.caches.push(buildCache(draft))
  say(draft, 'info', 'Using go mod')
  if (!usesC(draft)) install.variables['CGO_ENABLED'] = '0'
}

const innerModules = ({ files }: Draft): string[] =>
  files
    .find(/^go\.mod$/)
    .files.map(dirname)
    .filter((folder) => folder !== '.')
    .toSorted()

const hasRootFiles = ({ files }: Draft) => files.root().some((name) => name.endsWith('.go'))

/** Empty when a workspace has no program. */
function buildCommand(draft: Draft): string {
  const build = 'go build -ldflags="-w -s" -o out'
  const [askedModule, askedCommand] = [
    setting(draft, 'GO_WORKSPACE_MODULE'),
    setting(draft, 'GO_BIN'),
  ]
  if (askedModule) return `${build} ./${askedModule}`
  if (askedCommand) return `${build} ./cmd/${askedCommand}`
  if (hasModule(draft) && hasRootFiles(draft)) return build

  const command = draft.files.find(/./).folders.find((path) => dirname(path) === 'cmd')
  if (command) {
    say(draft, 'info', `Building command: ${basename(command)}`)
    return `${build} ./${command}`
  }
  if (hasModule(draft)) return build
  if (!hasWorkspace(draft)) return `${build} main.go`
  const module = innerModules(draft).find((folder) => draft.files.has(`${folder}/main.go`))
  return module ? `${build} ./${module}` : ''
}

function addMetadata(draft: Draft): void {
  const facts = {
    goMod: hasModule(draft),
    goWorkspace: hasWorkspace(draft),
    goRootFile: hasRootFiles(draft),
    goGin: draft.files.read('go.mod').includes('github.com/gin-gonic/gin'),
    goCGO: usesC(draft),
  }
  for (const [name, is] of Object.entries(facts)) if (is) draft.metadata[name] = 'true'
}
