export const routerFlags = {
  domain: { type: 'string' },
  remove: { type: 'boolean', default: false },
} as const

export const routerHelp = `Options of router:
  --domain NAME         find the owner also in a host below it, as ada.users.example.com
  --remove              delete the router`
