import { summary } from '#api/doctor/render.ts'
import { type Answer, DoctorRequest, type Finding } from '#api/doctor/report.ts'
import { readRequest } from '../../body/read-request.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { checkBox, textField } from '../forms/fields.ts'
import { button, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { sizeText } from '../parts/size.ts'
import { section, table } from '../parts/tables.ts'

export const doctorForm = (context: PageContext): Html =>
  postForm(
    context,
    addressOf('runDoctor'),
    (typed) =>
      html`<p>
          The gateway tries its token, the registry, the mirror, the build daemon, DNS and the disk.
          It leaves nothing behind, and takes up to a minute. It needs the scope admin.
        </p>
        ${textField(typed, { name: 'app', label: 'Also look at an app', codes: ['app-not-found'] })}
        <p>
          ${checkBox(typed, { name: 'push', label: 'Also push a tiny image to the registry, and remove it.' })}
        </p>
        ${button('Run the doctor')}`,
  )

export const runDoctor: Action = {
  path: addresses.runDoctor,
  section: 'builder',
  assets: ['boards.css'],
  async act(context, form) {
    const app = form.get('app')?.trim() || null
    const request = readRequest(DoctorRequest, { app, push: form.get('push') === 'true' })
    const { report } = await context.commands.doctor(context.caller, request)
    const groups = Map.groupBy(report.findings, ({ group }) => group)
    const wrong = report.findings.filter(
      ({ answer }) => answer === 'failed' || answer === 'warning',
    )
    return {
      title: 'Doctor',
      body: html`<p class="crumbs"><a href="${addressOf('builder')}">Builder</a></p>
        <h1>Doctor</h1>
        <p>${summary(report.findings)}</p>
        ${wrong.length > 0 && section('wrong', 'What needs a look', findingsTable('What needs a look', wrong))}
        ${[...groups].map(
          ([group, found]) =>
            html`<details>
              <summary>${group}: ${summary(found)}</summary>
              ${findingsTable(group, found)}
            </details>`,
        )}
        ${section('again', 'Run it again', doctorForm(context))}`,
    }
  },
}

const moods: Record<Answer, Mood> = {
  ok: 'good',
  warning: 'warning',
  failed: 'bad',
  unknown: 'waiting',
}

const findingsTable = (group: string, findings: Finding[]): Html =>
  table(
    group,
    ['Probe', 'Answer', 'Detail'],
    findings.map(({ name, answer, detail, next }) => [
      name,
      mark(moods[answer], answer === 'unknown' ? 'not known' : answer),
      html`<span class="lines">${detail}</span
        >${next && html`<br /><span class="lines">Next: ${next}</span>`}`,
    ]),
  )

export const removeAppCache: Action = {
  path: addresses.removeCache,
  section: 'builder',
  async act({ commands, caller, params }) {
    const { app, ...removed } = await commands.removeCache(caller, params['app'] ?? '')
    const { removedBytes, keptBytes, removedPlans } = removed
    return {
      title: 'Cache dropped',
      body: html`<p class="crumbs"><a href="${addressOf('builder')}">Builder</a></p>
        <h1>The cache of ${app} is dropped</h1>
        <p>
          ${sizeText(removedBytes)} and ${removedPlans} plans were removed. Its next build runs
          every step again.
          ${keptBytes > 0 && `${sizeText(keptBytes)} are still in use by a build of it.`}
        </p>`,
    }
  },
}
