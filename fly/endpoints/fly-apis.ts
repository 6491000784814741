/** One of Fly's APIs. All its paths begin with `path`. */
export type Api = { name: string; path: string; authorization: (token: string) => string }

export const machinesApi: Api = {
  name: "Fly's Machines API",
  path: '/v1',
  authorization: (token) => (token.startsWith('FlyV1 ') ? token : `Bearer ${token}`),
}
/** Fly's own back end. Source: flyctl's `internal/uiex/releases.go` sends any token as Bearer. */
export const webApi: Api = {
  name: "Fly's web API",
  path: '',
  authorization: (token) => `Bearer ${token.replace(/^FlyV1 /, '')}`,
}
/**
 * Fly's Prometheus, at the same address. Source: https://fly.io/docs/monitoring/metrics/, which asks
 * for the whole `FlyV1 …` or `Bearer …`.
 */
export const metricsApi: Api = { ...machinesApi, name: "Fly's metrics", path: '/prometheus' }
