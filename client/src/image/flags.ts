export const imageFlags = {
  to: { type: 'string' },
  'from-owner': { type: 'string' },
} as const

export const imageHelp = `Options of image and promote:
  --env NAME=VALUE      environment of the machines; may be repeated; nothing secret
  --region CODE         region of new machines
  --count N             machines of a process group that has none yet, 1 to 100
  --strategy NAME       rolling, canary, bluegreen or immediate
  --ha                  two machines instead of one where there is none yet
  --new-volumes         new, empty volumes, even where one of that name is elsewhere
  --network NAME        the private network of an app that does not exist yet
  --force-over N        deploy even over deployment N, which the gateway's record does not know
  --tag TAG             one more tag for the image in the app's repository; may be repeated
  --owner NAME          the machines of one of the app's users, with their own queue
  --lane POLICY         what happens to others in that queue: latest, cancel-running, fifo or reject
  --detach              return when the gateway has the request

An image is named as for docker pull: nginx, nginx:1.27, ghcr.io/acme/shop:v3, or with @sha256:… for one that never
changes. The app keeps the config of its newest release. An app without one gets a service on the port that the image
exposes, or on 8080.

Options of promote:
  --to APP              the app to deploy to; it must be given
  --release N           this release instead of the newest one
  --from-owner NAME     a release of one of the users of the app that it comes from`
