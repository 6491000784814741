/** The options of `tarmac preview` that no other command has. */
export const previewFlags = {
  deployment: { type: 'string' },
  ttl: { type: 'string' },
  evict: { type: 'string' },
  template: { type: 'string' },
  follow: { type: 'boolean', default: false },
  log: { type: 'boolean', default: false },
  lines: { type: 'string' },
  timeout: { type: 'string' },
} as const

export const previewHelp = `Options of preview:
  --image REF           of this image, as registry.fly.io/shop:v1 or ghcr.io/acme/shop:v1, instead of a folder
  --release N           of this release of the app
  --deployment ID       of the image of this deployment
  --owner NAME          whose it is, and whose limit it counts for; default: your user name; ls, stats: of this owner
  --ttl SPAN            how long it lives, as 30m or 2h; default: the gateway's; extend: from now on
  --region CODE         where it runs
  --env NAME=VALUE      environment of its machine; may be repeated; nothing secret
  --secret NAME         a secret of its machine, from the environment; NAME=@FILE: from a file; NAME=-: from stdin
  --file FILE           all secrets of a .env file; -: standard input
  --template NAME[@V]   made like this template
  --evict oldest        at the owner's limit or the team's: destroy the owner's oldest preview, instead of a refusal
  --dockerfile PATH     of a folder; also --config, --target, --plan, --build, --include, --no-ignore, --root, --dry-run and --compress
  --detach              return when the gateway has accepted it; destroy: do not wait for the end
  --state STATE         ls: those in this state, as ready or failed; default: all that have not ended
  --limit N, --cursor C  ls: at most N of them, 1 to 100, after an earlier page
  --log                 show: the log of the deployment that starts it, to its end
  --follow              logs: print what its programs print from now on, too
  --lines N             logs: the last N lines, 1 to 1000; default 100
  --timeout SPAN        exec: how long the command may take, as 10s or 5m (the most); default 60s

  tarmac preview shop --ttl 30m                       # this folder
  tarmac preview shop --image registry.fly.io/shop:pr-12 --owner pr-12 --evict oldest
  tarmac preview exec pv-7k2m9x0c4d1e -- ls -l /app
  tarmac preview destroy pv-7k2m9x0c4d1e

An app that has the name of one of these verbs: tarmac preview create APP.`
