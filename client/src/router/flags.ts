export const routerFlags = {
  domain: { type: 'string' },
  remove: { type: 'boolean', default: false },
} as const

export const routerHelp = `Options of router:
  --domain NAME         find the owner also in a host below it, as ada.users.example.com
  --release N           an earlier release of the router: its program and domain, with the routes of now
  --remove              delete the router`
