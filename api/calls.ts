import type { routes } from './routes.ts'

type Call = {
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  route: keyof typeof routes
  about: string
}
const call = (method: Call['method'], route: Call['route'], about: string): Call => ({
  method,
  route,
  about,
})

/** Every call of the HTTP API. */
export const calls: readonly Call[] = [
  call('PUT', 'deploy', 'upload a source, and follow its deployment to the end'),
  call('POST', 'deployments', 'deploy a source or an existing image'),
  call('GET', 'deployments', 'list the deployments of an app'),
  call('GET', 'deployment', 'read the record of a deployment'),
  call('GET', 'events', 'follow the log of a deployment, from any event on'),
  call('GET', 'log', 'download the log of a deployment as text'),
  call('POST', 'cancel', 'cancel a deployment'),
  call('POST', 'retry', 'deploy the same source or image once more'),
  call('GET', 'releases', 'list the releases of an app, or of one owner'),
  call('GET', 'release', 'read a release: image, config, environment, secret versions'),
  call('GET', 'releaseDiff', 'what changed from one release to another'),
  call('POST', 'rollback', 'deploy an earlier release again'),
  call('POST', 'rollouts', 'deploy one image to many targets'),
  call('GET', 'rollouts', 'list rollouts'),
  call('GET', 'rollout', 'read a rollout: the state of each target'),
  call('POST', 'cancelRollout', 'cancel a rollout'),
  call('GET', 'apps', 'list the apps, each with its newest deployment and release'),
  call('GET', 'allDeployments', 'list the deployments of all apps'),
  call('GET', 'app', 'read the settings of an app'),
  call('PATCH', 'app', 'change the settings of an app'),
  call('DELETE', 'app', 'delete an app, with its machines, releases and build secrets'),
  call('GET', 'cache', 'the build cache by app'),
  call('GET', 'appCache', 'what an app has of the build cache'),
  call('DELETE', 'appCache', 'remove what an app has of the build cache'),
  call('GET', 'drift', 'what of an app is public, and what differs from its releases'),
  call('GET', 'machines', 'list the machines of an app'),
  call('POST', 'machineAction', 'start, stop or restart a machine'),
  call('GET', 'secrets', 'list the names of build secrets'),
  call('PATCH', 'secrets', 'set and remove several build secrets at once'),
  call('PUT', 'secret', 'store a build secret'),
  call('DELETE', 'secret', 'delete a build secret'),
  call('POST', 'tokens', 'make a token'),
  call('GET', 'tokens', 'list tokens'),
  call('GET', 'token', 'read what a token may do, and when it was used'),
  call('DELETE', 'token', 'revoke a token'),
  call('POST', 'rotateToken', 'give a token a new secret'),
  call('POST', 'deployLink', 'make a single-use token for one deployment of the app'),
  call('GET', 'runtimeSecrets', 'list the secrets of the machines, and which of them are deployed'),
  call('PATCH', 'runtimeSecrets', 'set and remove secrets of the machines, and deploy them'),
  call('POST', 'deploySecrets', 'deploy secrets that are staged'),
  call('GET', 'env', 'list the variables of the machines, and where each comes from'),
  call('PATCH', 'env', 'set and remove variables in the settings of an app'),
  call('POST', 'drain', 'take no new work and end what runs, before the gateway is replaced'),
  call('GET', 'drain', 'how far a drain is'),
  call('DELETE', 'drain', 'end a drain: take work again'),
  call('GET', 'backup', 'download a copy of the records'),
  call('PUT', 'backup', 'replace the records by a copy'),
  call('GET', 'audit', 'list who changed what, also what was refused'),
  call('GET', 'status', 'read the state of the gateway: versions, machine, queue, disk, cost'),
  call('POST', 'doctor', 'try what only the machine and Fly can settle'),
  call('GET', 'problem', 'what the code of a problem means'),
  call('GET', 'health', 'whether the gateway answers'),
  call('GET', 'ready', 'whether the gateway can deploy, and what it lacks'),
]
