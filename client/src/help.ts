import { auditHelp } from './audit/audit.ts'
import { builderHelp } from './builder/flags.ts'
import { imageHelp } from './image/flags.ts'
import { driftHelp } from './drift/drift.ts'
import { exitCodes } from '#api/problem/exit-codes.ts'
import { templateHelp } from './template/template.ts'
import { tokenHelp } from './token/flags.ts'
import { runtimeHelp } from './runtime/flags.ts'
import { ownerHelp } from './owners/flags.ts'
import { previewHelp } from './preview/flags.ts'
import { poolHelp } from './preview/pool.ts'
import { overviewHelp } from './overview/flags.ts'
import { queueHelp } from './queue/queue.ts'
import { upkeepHelp } from './upkeep/flags.ts'
import { routerHelp } from './router/flags.ts'
import { registriesHelp } from './registries/flags.ts'
import { ruleHelp } from './rule/flags.ts'
import { upHelp } from './up/flags.ts'

export const help = `Usage: tarmac deploy [app] [folder]    send a folder (default: this one), and follow it until it is live;
                                       without an app the folder's fly.toml names it
       tarmac follow <deployment>      read the log of a deployment from its start, and wait for its end
       tarmac retry <deployment>       deploy the same source once more, without an upload
       tarmac source <deployment> [file]    download the source of a deployment as a tar archive; -: print it
       tarmac rollback <app>           deploy the previous release again: image, config and environment
       tarmac image <app> <image>      deploy an image of any registry, as nginx:1.27 or ghcr.io/acme/shop:v3
       tarmac promote <app> --to <app> deploy an app's newest release to another app: image, config and environment
       tarmac cancel <deployment>      stop a deployment that has not changed machines
       tarmac secrets set <app> <name>…    set secrets of the machines at Fly, all or none, and deploy them
       tarmac secrets unset <app> <name>…  remove them, and deploy that
       tarmac secrets list <app>       list the secrets of machines and of builds, and what is not deployed
       tarmac secrets deploy <app>     deploy what is staged, also by other tools
       tarmac env set <app> <name>=<value>…  set variables in the app's settings, which last
       tarmac env unset <app> <name>…  remove them
       tarmac env list <app>           list the variables of the machines, and where each comes from
       tarmac cache                    list the build cache by app
       tarmac cache rm <app>           remove what an app has of the build cache; its next build is cold
       tarmac rule list                who may call the gateway without a token of it, and for what
       tarmac rule add [name]          let jobs of GitHub or GitLab, machines of Fly or people on a tailnet in
       tarmac rule remove <name>       remove such a rule; it holds at once
       tarmac registries list          list the logins at registries, for images that are not public
       tarmac registries add <address>      keep a login for ghcr.io, or for ghcr.io/acme alone; it is tested first
       tarmac registries test <login>       try a login at its registry; with --image also an image
       tarmac registries rotate <login>     replace the password of a login; the new one is tested first
       tarmac registries remove <login>     forget a login
       tarmac audit                    list who changed what, also what was refused; newest first
       tarmac token create [name]      make a token: what it may do, on which apps, and until when
       tarmac token list               list the tokens
       tarmac token revoke <token>     end a token, by its name, its id, or itself
       tarmac token rotate <token>     give a token a new secret
       tarmac apps [app]               list the apps; 'pr-*': all whose names begin so
       tarmac deployments [app]        list the deployments of all apps, or of these, newest first
       tarmac releases <app>           list the releases of an app, which rollback --release names
       tarmac queue                    what runs and waits, for what and until when
       tarmac queue pause              start nothing that waits, until tarmac queue resume
       tarmac queue first <deployment>    move one that waits to the front of the queue
       tarmac machines <app>           list the machines of an app
       tarmac machines stop <app> [machine]...   stop them, or start or restart them; without a name all
       tarmac owners <app>             list the owners of machines of an app: machines per user
       tarmac owner show <app> <owner>    all facts of one: machines, volumes, release, last deployment
       tarmac owner stop <app> <owner>    stop its machines; also suspend, which keeps their memory, and start
       tarmac owner move <app> <owner>    deploy a release of the app to its machines
       tarmac owner destroy <app> <owner>  destroy its machines and volumes
       tarmac router <app>             deploy the router that leads requests to the machine of each owner
       tarmac preview <app> [folder]   a short-lived machine of a folder (default: this one), and its address
       tarmac preview ls [app]         list previews that have not ended; --state: others
       tarmac preview show <id>        all facts of a preview; when it failed, why; --log: the log of its build
       tarmac preview extend <id>      give it more time; --ttl 30m: from now
       tarmac preview destroy <id>…    destroy previews, and wait until nothing is left of them
       tarmac preview stop <id>…       stop previews; also suspend, which keeps their memory, and start
       tarmac preview logs <id>        what its programs printed last; --follow: and print from now on
       tarmac preview exec <id> -- <command>…   run a command in it; exits with its exit code
       tarmac preview watch [app]      how many there are, and what changes, until Ctrl-C
       tarmac preview stats            how many there are by state, owner and team; cost; stuck ones
       tarmac drift [app]              how an app differs at Fly from what is expected; without an app: which apps do
       tarmac whoami                   who you are for the gateway, what you may do, and until when
       tarmac template list <app>      the templates that say what the machines of previews are like
       tarmac template set <app> <name> <file>  add a version of one: a fly.toml, fly.json or fly.yaml
       tarmac template show <app> <name>        print it; name@version: an older one
       tarmac template remove <app> <name>      remove it; previews that use it go on
       tarmac pool ls [app]            previews that wait for a request like them: how many, and what is wrong
       tarmac pool set <app> <template>         keep some of a template and an image waiting
       tarmac pool remove <app> <template>      destroy what waits, and keep none
       tarmac limits                   what you may use and have used, and what the gateway accepts
       tarmac team list                the teams of the gateway
       tarmac team create <team>       make a team; also show <team>, delete <team>
       tarmac team add-member <team> <member>         also remove-member; a member is a caller, as token:ci
       tarmac team add-app <team> <app>               also remove-app; an app belongs to one team
       tarmac team set-quota <team> <quota>=<number>  also =none and =default; several at once
       tarmac builder status           what the builder is, does and costs; does not wake a stopped one
       tarmac doctor                   try this computer, the ways to the builder, and everything that it needs
       tarmac upgrade                  update the builder to another version, or leave it as it is
       tarmac backup [file]            copy the builder's records into a new file on this computer
       tarmac restore <file>           replace the builder's records by such a copy
       tarmac up                       make or repair the builder of an organisation on Fly
       tarmac down                     remove the builder, and keep its volume

Options of deploy:
  --env NAME=VALUE      environment of the machines; may be repeated; nothing secret
  --build NAME=VALUE    a variable of the build; may be repeated; nothing secret
  --secret NAME         a secret for build steps, from the environment; NAME=@FILE: from a file
  --include PATH        send this file or folder although an ignore file excludes it; may be repeated
  --no-ignore           send everything except .git, .hg, .svn and .DS_Store
  --root DIR            the app is in this folder of a monorepo: its config file and Dockerfile are looked up there
  --dry-run             show what would be sent, and what is left out and why; send nothing
  --compress HOW        zstd (the default), gzip or none
  --no-deploy           build and push the image, touch no machine
  --rebuild             run every step again, even if it is cached
  --region CODE         region of new machines
  --count N             machines of a process group that has none yet, 1 to 100
  --config, -c PATH     config file of the folder, instead of fly.toml, fly.json or fly.yaml
  --dockerfile PATH     build with this Dockerfile of the folder
  --target STAGE        build this stage of the Dockerfile
  --platform LIST       one image for several platforms, as linux/amd64,linux/arm64
  --tag TAG             one more tag for the image; may be repeated
  --plan PATH           build by this railpack plan of the folder
  --strategy NAME       rolling, canary, bluegreen or immediate
  --ha                  two machines instead of one where there is none yet
  --new-volumes         new, empty volumes, even where one of that name is elsewhere
  --network NAME        the private network of an app that does not exist yet
  --force-over N        deploy even over deployment N, which the gateway's record does not know
  --owner NAME          the machines of one of the app's users, with their own queue
  --lane POLICY         what happens to others in that queue: latest, cancel-running, fifo or reject
  --detach              return when the gateway has the source

Only the address of the app goes to stdout. A .dockerignore in the folder alone decides what is sent. Without one git
decides: tracked files are sent, and ignored files and dependency folders (node_modules, .venv, __pycache__) are not.

Options of follow:
  --only TYPES          only these events, as state or state,machine
  --step TEXT           only the build steps whose name contains this text

Options of retry:
  --reuse-image         deploy the image that was built, build nothing
  --rebuild             run every step again, even if it is cached

Options of rollback:
  --release N           this release instead of the previous one
  --owner NAME          the machines of one of the app's users

${imageHelp}

Options of cancel:
  --abort               also when machines have changed: they are rolled back
  --why TEXT            the reason, for the record

${auditHelp}

${runtimeHelp}

${overviewHelp}

${queueHelp}

${ownerHelp}

${previewHelp}

${templateHelp}

${poolHelp}

${driftHelp}

${routerHelp}

${builderHelp}

${tokenHelp}

${upkeepHelp}

${ruleHelp}

${registriesHelp}

${upHelp}

Options of commands that ask the gateway:
  --app NAME            the builder's app, where this computer knows several (not with audit, rule and token: see there)
  --gateway URL         address of the gateway (or TARMAC_GATEWAY)
  --token TOKEN         its token (better: TARMAC_TOKEN, which no process list shows)

Options of all commands:
  --json                one JSON object per line on stdout; the last has "type": "result"
  --help, -h            print this
  --version             print the version

Exit codes:
${Object.entries(exitCodes)
  .map(([code, meaning]) => `  ${code.padEnd(4)}${meaning}`)
  .join('\n')}`

/** The help of one command, as `builder status`: its usage, its own options and those of all. Of an unknown one: all. */
export function helpOf(name: string): string {
  const [usage = '', ...sections] = help.split('\n\n')
  const lines = usage.split('\n').map((line) => line.replace(/^(?:Usage:| {6}) /, ''))
  const isOwn = (line: string) => line.startsWith(`tarmac ${name} `)
  const from = lines.findIndex(isOwn)
  if (from < 0) return help

  const to = lines.findIndex((line, at) => at > from && line.startsWith('tarmac ') && !isOwn(line))
  const own = lines.slice(from, to < 0 ? undefined : to)
  return [`Usage: ${own.join('\n       ')}`, ...sectionsOf(sections, name)].join('\n\n')
}

/** These have a token of Fly, and no gateway. */
const asksFly = new Set(['up', 'down', 'upgrade'])

/** A section without a title belongs to the one before. */
function sectionsOf(sections: string[], name: string): string[] {
  const own = new Set([
    name,
    'all commands',
    ...(asksFly.has(name) ? [] : ['commands that ask the gateway']),
  ])
  let commands: string[] = []
  return sections.filter((section) => {
    const title = /^Options of ([^:]+)/.exec(section)?.[1]
    if (title !== undefined) commands = title.split(/, | and /)
    return commands.some((each) => own.has(each) || each.startsWith(`${name} `))
  })
}
