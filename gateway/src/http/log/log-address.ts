import type { IncomingMessage } from 'node:http'
import { routes } from '#api/routes.ts'

const addressOf = (route: string) => new RegExp(`^${route.replace(':id', '([^/]+)')}$`)
const ofDeployment = addressOf(routes.events)
const ofPreview = addressOf(routes.previewEvents)
const asFiles = [addressOf(routes.log), addressOf(routes.source)]

/** The deployment or the preview whose events a request is for. */
export const logIdsOf = (request: IncomingMessage) => ({
  preview: ofPreview.exec(pathOf(request))?.[1],
  deployment: ofDeployment.exec(pathOf(request))?.[1],
})

/** Whether a request reads events as they come. */
export const isForEvents = (request: IncomingMessage): boolean =>
  request.method === 'GET' &&
  (ofDeployment.test(pathOf(request)) || ofPreview.test(pathOf(request)))

/** Whether a request downloads the log or the source of a deployment. */
export const isForFile = (request: IncomingMessage): boolean =>
  request.method === 'GET' && asFiles.some((file) => file.test(pathOf(request)))

const pathOf = ({ url = '' }: IncomingMessage) => url.split('?', 1)[0]!
