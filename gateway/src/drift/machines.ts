import type { NewFinding } from '#api/drift/finding.ts'
import type { DriftReport } from '#api/drift/report.ts'
import { someOf } from '#api/text/some-of.ts'
import { Redactor } from '../secrets/redaction/redactor.ts'

const shown = 5
const maxValueChars = 60

/** What the machines of an app have that its releases do not, as findings. */
export function machineFindings(
  { app, recordedApp }: { app: string; recordedApp: string },
  report: Pick<DriftReport, 'foreign' | 'drift' | 'missing' | 'degraded'>,
): NewFinding[] {
  return [
    ...report.drift.map((each) => changedFinding(recordedApp, each)),
    ...report.missing.map((each) => missingFinding(app, each)),
    ...report.foreign.map((each) => foreignFinding(app, each)),
    ...report.degraded.map((each) => degradedFinding(recordedApp, each)),
  ]
}

const ofOwner = (owner: string | null): string => (owner === null ? '' : ` of ${owner}`)

/** Deploys the release once more. */
const again = (app: string, owner: string | null, release: number): string =>
  `tarmac rollback ${app} --release ${release}${owner === null ? '' : ` --owner ${owner}`}`

function changedFinding(
  app: string,
  { machine, owner, release, differences }: DriftReport['drift'][number],
): NewFinding {
  const values = (side: 'before' | 'after') =>
    someOf(
      differences.map((each) => `${each.path} ${valueText(each[side])}`),
      shown,
    )
  return {
    code: 'machine-changed',
    subject: machine,
    text: `Machine ${machine} differs from release ${release}${ofOwner(owner)}, which it should run.`,
    expected: values('before'),
    found: values('after'),
    advice: `To have the release again: ${again(app, owner, release)}. To keep the change, put it into the source or the app's settings, and deploy.`,
  }
}

const missingFinding = (
  app: string,
  { machine, owner, release }: DriftReport['missing'][number],
): NewFinding => ({
  code: 'machine-missing',
  subject: machine,
  text: `Machine ${machine} of release ${release}${ofOwner(owner)} is gone.`,
  expected: `machine ${machine}`,
  found: 'no such machine',
  advice: `The next deployment goes on without it. For more machines: fly scale count N -a ${app}.`,
})

const foreignFinding = (
  app: string,
  { id, name, state, image }: DriftReport['foreign'][number],
): NewFinding => ({
  code: 'machine-foreign',
  subject: id,
  text: `Machine ${id} (${name}) was made by no deployment of this gateway. Deployments leave it as it is.`,
  expected: 'only machines of deployments',
  found: `${name}, ${state}, with ${image}`,
  advice: `If nobody needs it: fly machine destroy ${id} -a ${app}.`,
})

function degradedFinding(
  app: string,
  { owner, release, crashes }: DriftReport['degraded'][number],
): NewFinding {
  return {
    code: 'release-degraded',
    subject: `release ${release}${ofOwner(owner)}`,
    text: `Release ${release}${ofOwner(owner)} is degraded: ${someOf(
      crashes.map(({ machine, why }) => `machine ${machine}: ${why}`),
      2,
    )}`,
    expected: 'machines that run without a crash',
    found: `${crashes.length} of its machines ${crashes.length === 1 ? 'has' : 'have'} crashed`,
    advice: `See its machines: tarmac machines ${app}. To go back: tarmac rollback ${app}${owner === null ? '' : ` --owner ${owner}`}.`,
  }
}

const redactor = new Redactor([])

/** A value of a machine's config. People put tokens into variables, too. */
function valueText(value: unknown): string {
  const text = value === undefined ? '(none)' : redactor.redact(JSON.stringify(value))
  return text.length <= maxValueChars ? text : `${text.slice(0, maxValueChars)}…`
}
