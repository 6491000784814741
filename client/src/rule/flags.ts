/** The options of `tarmac rule add` that no other command has. */
export const ruleFlags = {
  github: { type: 'string' },
  gitlab: { type: 'string' },
  fly: { type: 'string' },
  tailscale: { type: 'string' },
  'fly-6pn': { type: 'string' },
  branch: { type: 'string' },
  environment: { type: 'string' },
  'pull-requests': { type: 'boolean', default: false },
  issuer: { type: 'string' },
  claim: { type: 'string', multiple: true },
  aud: { type: 'string' },
  'all-apps': { type: 'boolean', default: false },
  'max-life': { type: 'string' },
} as const

export const ruleHelp = `Options of rule add:
  --github OWNER/REPO   jobs of this repository on GitHub, but none of pull requests
  --gitlab PROJECT      jobs of this project on GitLab, but none of merge requests
  --fly ORG[/APP]       machines of this organisation or app on Fly, by their OIDC token
  --tailscale LOGIN     this person, behind tailscale serve; @example.com: everybody of that domain; *: everybody
  --fly-6pn APP         machines of this app, by the private address that Fly's proxy names
  --branch NAME         only jobs on this branch
  --environment NAME    only jobs of this environment
  --pull-requests       only jobs of pull or merge requests, instead of those of branches
  --app LIST            the apps that it may use, as shop,pr-*
  --all-apps            all apps of the gateway
  --scope LIST          what it may do: read, deploy, secrets, preview, exec, admin; default deploy
  --owner LIST          only these owners' machines in the apps
  --team NAME           only apps of this team
  --issuer URL          another OIDC issuer, or a GitLab or GitHub server of your own
  --claim NAME=VALUE    what the token must say as well; VALUE may end with *; may be repeated
  --aud TEXT            the audience of the tokens; default: TARMAC_AUDIENCE, else the gateway's address
  --max-life SECONDS    longest life of a token, 60 to 86400; default 3900`
