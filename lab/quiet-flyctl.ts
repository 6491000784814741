const nowhere = 'http://127.0.0.1:1'

/** The environment of a flyctl that makes no requests but to the Fly that is named beside it. */
export const quietFlyctl = {
  PATH: process.env['PATH'],
  FLY_METRICS_BASE_URL: nowhere,
  FLY_SYNTHETICS_BASE_URL: nowhere,
  FLY_TRACE_COLLECTOR_URL: '127.0.0.1',
  FLY_SEND_METRICS: '0',
  FLY_SYNTHETICS_AGENT: '0',
  FLY_NO_UPDATE_CHECK: '1',
  FLY_NO_INCIDENTS_CHECK: '1',
  HTTPS_PROXY: nowhere,
  NO_PROXY: '127.0.0.1,localhost',
  CI: '1',
}
