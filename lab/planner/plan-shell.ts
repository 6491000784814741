import type { Draft } from './draft.ts'
import { addStep, localLayer, say, setting } from './draft.ts'
import { miseLayer } from './mise-step.ts'

export const shellScript = (draft: Draft): string | null => {
  const script = setting(draft, 'SHELL_SCRIPT') || 'start.sh'
  return draft.files.has(script) ? script : null
}

/** An app that is one script, as railpack plans it. */
export function planShell(draft: Draft): void {
  const script = shellScript(draft) ?? 'start.sh'
  const asked = /^#!\s*\S*?(\w+)(?:\s+(\w+))?\s*$/m.exec(
    draft.files.read(script).split('\n')[0] ?? '',
  )
  const named = asked?.[1] === 'env' ? asked[2] : asked?.[1]
  const shell =
    named === 'zsh' || named === 'bash'
      ? named
      : ['ksh', 'mksh', 'fish'].includes(named ?? '')
        ? 'bash'
        : 'sh'
  if (shell === 'zsh') draft.deploy.aptPackages.push('zsh')
  say(draft, 'info', `Using shell script: ${script} with interpreter: ${shell}`)
  draft.metadata['detectedShellInterpreter'] = shell
  draft.deploy.startCommand = `${shell} ${script}`
  addStep(draft, 'build', {
    inputs: [{ step: 'packages:mise' }, localLayer],
    commands: [{ cmd: `chmod +x ${script}` }],
  })
  draft.deploy.inputs.push(...miseLayer(draft), { step: 'build', include: ['.'] })
}
