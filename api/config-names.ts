/** The names of an app's config file. The first one that exists wins, as in flyctl. */
export const configNames = ['fly.toml', 'fly.json', 'fly.yaml']
