import type { Draft } from './draft.ts'
import {
  PlanError,
  addCache,
  addStep,
  localLayer,
  say,
  secretsWith,
  setting,
  useTool,
} from './draft.ts'
import { miseLayer, versionFrom } from './mise-step.ts'

const mainFiles = ['main.py', 'app.py', 'start.py', 'bot.py', 'hello.py', 'server.py']
const variables = {
  PIP_DEFAULT_TIMEOUT: '100',
  PIP_DISABLE_PIP_VERSION_CHECK: '1',
  PYTHONDONTWRITEBYTECODE: '1',
  PYTHONFAULTHANDLER: '1',
  PYTHONHASHSEED: 'random',
  PYTHONUNBUFFERED: '1',
}
/** Debian packages that some Python packages need for their build and at run time. */
const systemPackages: { dependency: string; build?: string; runtime?: string }[] = [
  { dependency: 'pycairo', build: 'libcairo2-dev', runtime: 'libcairo2' },
  { dependency: 'pdf2image', runtime: 'poppler-utils' },
  { dependency: 'pydub', runtime: 'ffmpeg' },
  {
    dependency: 'mysqlclient',
    build: 'default-libmysqlclient-dev',
    runtime: 'default-mysql-client',
  },
]

export const isPython = (draft: Draft): boolean =>
  [...mainFiles, 'requirements.txt', 'pyproject.toml', 'Pipfile'].some((file) =>
    draft.files.has(file),
  )

/** Python with or without requirements.txt, as railpack plans it. */
export function planPython(draft: Draft): void {
  const { files } = draft
  const usesPip = files.has('requirements.txt')
  const other = ['uv.lock', 'poetry.lock', 'pdm.lock', 'Pipfile'].find((file) => files.has(file))
  if (!usesPip && other) {
    throw new PlanError(
      `The stand-in planner knows requirements.txt alone, and there is a ${other}. Use a real railpack for this app.`,
    )
  }
  const requirements = files.read('requirements.txt').toLowerCase()
  const uses = (dependency: string) => requirements.includes(dependency)

  useTool(
    draft,
    'python',
    versionFrom(draft, ['.python-version', 'runtime.txt'], 'PYTHON_VERSION') ?? {
      version: '3.13',
      source: 'railpack default',
    },
  )
  draft.miseSettings['python'] = { compile: false }
  for (const each of systemPackages.filter(({ dependency }) => uses(dependency))) {
    if (each.build) draft.buildAptPackages.push(each.build)
    if (each.runtime) draft.deploy.aptPackages.push(each.runtime)
  }
  if (uses('psycopg') && !uses('psycopg2-binary') && !uses('psycopg[binary]')) {
    draft.buildAptPackages.push('libpq-dev')
    draft.deploy.aptPackages.push('libpq5')
  }

  const install = addStep(draft, 'install', {
    inputs: [{ step: 'packages:mise' }],
    secrets: secretsWith(draft, ['PYTHON', 'PIP', 'PIPX', 'UV', 'PDM', 'POETRY']),
  })
  if (usesPip) {
    say(draft, 'info', 'Using pip')
    const needsAll = requirements.includes('file://')
    if (needsAll) install.inputs.push(localLayer)
    install.caches.push(addCache(draft, 'pip', '/opt/pip-cache'))
    install.variables = { ...variables, PIP_CACHE_DIR: '/opt/pip-cache', VIRTUAL_ENV: '/app/.venv' }
    const copied = needsAll
      ? []
      : ['requirements.txt', 'pyproject.toml', 'Pipfile'].filter((file) => files.has(file))
    install.commands.push(
      { cmd: 'python -m venv /app/.venv' },
      { path: '/app/.venv/bin' },
      ...copied.map((file) => ({ src: file, dest: file })),
      { cmd: 'pip install -r requirements.txt' },
    )
  }
  addStep(draft, 'build', { inputs: [{ step: 'install' }, localLayer] })

  draft.metadata['pythonPackageManager'] = 'pip'
  draft.deploy.startCommand = startCommand(draft, uses)
  Object.assign(draft.deploy.variables, variables)
  draft.deploy.inputs.push(
    ...miseLayer(draft),
    { step: 'build', ...(usesPip && { include: ['/app/.venv'] }) },
    { step: 'build', include: ['.'], exclude: ['.venv'] },
  )
}

function startCommand(draft: Draft, uses: (dependency: string) => boolean): string {
  const { files } = draft
  const main = mainFiles.find((file) => files.has(file))
  if (main && uses('flask') && uses('gunicorn'))
    return 'gunicorn --bind 0.0.0.0:${PORT:-8000} main:app'
  if (main && (uses('fastapi') || uses('python-fasthtml')) && uses('uvicorn')) {
    return 'uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}'
  }
  const django = files.has('manage.py') && uses('django') ? djangoApp(draft) : ''
  if (django)
    return `python manage.py migrate && gunicorn --bind 0.0.0.0:\${PORT:-8000} ${django}:application`
  return main ? `python ${main}` : ''
}

function djangoApp(draft: Draft): string {
  const named = setting(draft, 'DJANGO_APP_NAME')
  if (named) return named
  const settings = draft.files.find(/\.py$/).files.map((path) => draft.files.read(path))
  return (
    settings
      .map((text) => /WSGI_APPLICATION = ["'](.*).application["']/.exec(text)?.[1])
      .find(Boolean) ?? ''
  )
}
