import type { FileChange } from '#api/sources/changes.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import type { Page } from '../parts/page.ts'
import { sizeText } from '../parts/size.ts'
import { table } from '../parts/tables.ts'
import { countsText } from './since-facts.ts'

const moods: Record<FileChange['change'], Mood> = {
  added: 'good',
  changed: 'warning',
  removed: 'over',
}

/** Which files of a deployment's source differ from what was live before. */
export const filesPage: Page = {
  path: addresses.files,
  section: 'apps',
  async show({ commands, caller, params }) {
    const deployment = await commands.deployment(caller, params['id'] ?? '')
    const { id, app, number, owner } = deployment
    const changes = await commands.sourceFiles.compare(caller, id)
    const { since, files, added, changed, removed } = changes
    const left = added.files + changed.files + removed.files - files.length
    return {
      title: `Files of ${app} #${number}`,
      body: html`<p class="crumbs">
          <a href="${addressOf('home')}">Apps</a> /
          <a href="${addressOf('app', { app }, { owner })}">${app}</a> /
          <a href="${addressOf('deployment', { id })}">Deployment #${number}</a>
        </p>
        <h1>Files changed in #${number}</h1>
        <p>
          ${countsText(changes) ?? 'No file differs'},
          ${since ? html`since <a href="${addressOf('deployment', { id: since.id })}">#${since.number}</a>, which was live before.` : 'since no source of this target was live before.'}
        </p>
        ${files.length > 0 && filesTable(files)}
        ${left > 0 && html`<p class="quiet">${left} more are not shown. The source as a whole can be downloaded.</p>`}`,
    }
  },
}

const filesTable = (files: FileChange[]): Html =>
  table(
    'Files that differ',
    ['File', 'Change', 'Before', 'After'],
    files.map(({ path, change, beforeBytes, afterBytes }) => [
      html`<code class="lines">${path}</code>`,
      mark(moods[change], change),
      beforeBytes === null ? '' : sizeText(beforeBytes),
      afterBytes === null ? '' : sizeText(afterBytes),
    ]),
  )
