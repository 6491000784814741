import { FlyError } from './fly-error.ts'

/** Fly's regions, each with its place in degrees. */
const places: [code: string, name: string, latitude: number, longitude: number][] = [
  ['ams', 'Amsterdam, Netherlands', 52.37, 4.9],
  ['arn', 'Stockholm, Sweden', 59.65, 17.92],
  ['bom', 'Mumbai, India', 19.08, 72.88],
  ['cdg', 'Paris, France', 48.86, 2.35],
  ['dfw', 'Dallas, Texas (US)', 32.78, -96.8],
  ['ewr', 'Secaucus, NJ (US)', 40.79, -74.06],
  ['fra', 'Frankfurt, Germany', 50.12, 8.68],
  ['gru', 'Sao Paulo, Brazil', -23.55, -46.63],
  ['iad', 'Ashburn, Virginia (US)', 39.02, -77.54],
  ['jnb', 'Johannesburg, South Africa', -26.13, 28.23],
  ['lax', 'Los Angeles, California (US)', 33.94, -118.41],
  ['lhr', 'London, United Kingdom', 51.52, -0.09],
  ['nrt', 'Tokyo, Japan', 35.76, 140.39],
  ['ord', 'Chicago, Illinois (US)', 41.88, -87.63],
  ['sin', 'Singapore, Singapore', 1.35, 103.82],
  ['sjc', 'San Jose, California (US)', 37.35, -121.95],
  ['syd', 'Sydney, Australia', -33.87, 151.21],
  ['yyz', 'Toronto, Canada', 43.65, -79.38],
]

/**
 * Geographic groups (superfly/docs: networking/dynamic-request-routing, "Geographic groups and
 * aliases"). `any` is every region.
 */
const northAmerica = ['dfw', 'ewr', 'iad', 'lax', 'ord', 'sjc', 'yyz']
const unitedStates = northAmerica.filter((code) => code !== 'yyz')
const groups: Record<string, string[]> = {
  apac: ['bom', 'nrt', 'sin', 'syd'],
  eu: ['ams', 'arn', 'cdg', 'fra', 'lhr'],
  na: northAmerica,
  sa: ['gru'],
  us: unitedStates,
  usa: unitedStates,
}

/** Whether a region is the wanted one, or in the wanted group. */
export const isIn = (region: string, wanted: string): boolean =>
  wanted === 'any' || wanted === region || (groups[wanted]?.includes(region) ?? false)

const usable = { gateway_available: true, deprecated: false }

/** `lab` is not one of Fly's regions. It is the default of a machine without one. */
export const regions: { code: string; name: string; latitude?: number; longitude?: number }[] = [
  ...places.map(([code, name, latitude, longitude]) => ({
    code,
    name,
    latitude,
    longitude,
    ...usable,
  })),
  { code: 'lab', name: 'This machine', ...usable },
]

/** The error has the words that users of Fly report. */
export function expectRegion(code: string): void {
  if (!regions.some((region) => region.code === code))
    throw new FlyError(422, `region ${code} not found`)
}
