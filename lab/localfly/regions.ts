import { FlyError } from './fly-error.ts'

/** `lab` is not one of Fly's regions. It is the default of a machine without one. */
export const regions = Object.entries({
  ams: 'Amsterdam, Netherlands',
  arn: 'Stockholm, Sweden',
  bom: 'Mumbai, India',
  cdg: 'Paris, France',
  dfw: 'Dallas, Texas (US)',
  ewr: 'Secaucus, NJ (US)',
  fra: 'Frankfurt, Germany',
  gru: 'Sao Paulo, Brazil',
  iad: 'Ashburn, Virginia (US)',
  jnb: 'Johannesburg, South Africa',
  lax: 'Los Angeles, California (US)',
  lhr: 'London, United Kingdom',
  nrt: 'Tokyo, Japan',
  ord: 'Chicago, Illinois (US)',
  sin: 'Singapore, Singapore',
  sjc: 'San Jose, California (US)',
  syd: 'Sydney, Australia',
  yyz: 'Toronto, Canada',
  lab: 'This machine',
}).map(([code, name]) => ({ code, name, gateway_available: true, deprecated: false }))

/** The error has the words that users of Fly report. */
export function expectRegion(code: string): void {
  if (!regions.some((region) => region.code === code))
    throw new FlyError(422, `region ${code} not found`)
}
