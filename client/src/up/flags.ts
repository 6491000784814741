/** The options of `tarmac up` and `tarmac down` that no other command has. */
export const upFlags = {
  org: { type: 'string' },
  app: { type: 'string' },
  size: { type: 'string' },
  volume: { type: 'string' },
  image: { type: 'string' },
  'always-on': { type: 'boolean', default: false },
  replace: { type: 'boolean', default: false },
  'delete-volume': { type: 'boolean', default: false },
} as const

export const upHelp = `Options of up, down and upgrade:
  --org NAME            the Fly organisation; default: the only one that the token reaches
  --app NAME            the builder's app; default: tarmac-ORG, with a suffix where that name is taken
  --network NAME        the private network of the builder and of the apps that it makes
  --token -             read Fly's token from stdin; default: FLY_API_TOKEN

The token is of an organisation: fly tokens create org ORG. up checks it before it makes anything, and the builder works
with it.

Options of up:
  --region CODE         where the builder runs; default: where most machines of the organisation run, else near you
  --size NAME           one of Fly's sizes, as performance-4x (the default) or shared-cpu-8x:8gb
  --volume GB           size of the volume, 1 to 500; default 50. It grows by itself up to 200. It never shrinks
  --image REF           the gateway's image; default: built from this checkout by a machine on Fly
  --env NAME=VALUE      a setting of the gateway; may be repeated; NAME= removes one
  --always-on           the builder does not stop when it is idle
  --replace             where Fly has lost the builder's host: a new machine on a volume from the last snapshot

Without --size, up takes the next smaller size where Fly has no room: performance-4x, performance-2x, shared-cpu-8x:8gb,
shared-cpu-4x:8gb. Without --region it then tries these sizes in the two next nearest regions. What you name is kept.

Options of down:
  --delete-volume       delete the volume too, with the builder's records and cache, and so the whole app`
