/** What the stand-in builder image holds, so all that a plan of ours may ask for: /mise/installs/{node,python}, /usr/bin/caddy. */
export const bakedTools = { mise: '2026.8.6', node: '22.23.3', python: '3.13.5', caddy: '2.6.2' }
