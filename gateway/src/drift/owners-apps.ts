import type { DriftReport } from '#api/drift/report.ts'

/**
 * A report with what was found in the apps of the app's owners. Their addresses and hostnames are in
 * the findings alone.
 */
export function withOwnersApps(report: DriftReport, others: DriftReport[]): DriftReport {
  const all = [report, ...others]
  const found = others.flatMap(({ app, findings }) =>
    findings.map((each) => ({ ...each, text: `${app}: ${each.text}` })),
  )
  return {
    ...report,
    deploying: all.some(({ deploying }) => deploying),
    foreign: all.flatMap(({ foreign }) => foreign),
    drift: all.flatMap(({ drift }) => drift),
    degraded: all.flatMap(({ degraded }) => degraded),
    missing: all.flatMap(({ missing }) => missing),
    findings: [...report.findings, ...found],
  }
}
