import type { RouterSummary } from '#api/router/router.ts'
import { appLink } from '../lists/deployment-link.ts'
import { firstCommand } from '../lists/first-command.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark } from '../parts/mark.ts'
import type { Page } from '../parts/page.ts'
import { section, table } from '../parts/tables.ts'

const seconds = 10

/** Routers: small apps that lead requests to the machine of their owner. */
export const routersPage: Page = {
  path: addresses.routers,
  section: 'routers',
  assets: ['boards.css'],
  async show({ commands, caller, gateway }) {
    const { routers } = await commands.router.list(caller)
    return {
      title: 'Routers',
      live: { seconds },
      body: html`<h1>Routers</h1>
        ${section(
          'routers',
          'Routers',
          routers.length > 0
            ? routersTable(routers)
            : firstCommand(
                'There is none. A router leads each request to the machine of its owner, for an app whose owners share it. To deploy one:',
                gateway,
                'tarmac router my-app',
              ),
        )}`,
    }
  },
}

const routersTable = (routers: RouterSummary[]): Html =>
  table(
    'Routers',
    ['Of', 'Runs as', 'State', 'Domain', 'Owners'],
    routers.map((router) => [
      html`<a href="${addressOf('router', { app: router.app })}">${router.app}</a>`,
      appLink(router.router),
      routerMark(router),
      router.domain ?? '',
      router.owners,
    ]),
  )

/** Whether it runs, and the deployment that changes it. */
export const routerMark = ({ release, deployment }: RouterSummary): Html =>
  html`${release === null ? mark('waiting', 'not live yet') : mark('good', `release ${release}`)}
  ${deployment !== null && html`${mark('busy', 'changes')} ${deploymentLink(deployment)}`}`
