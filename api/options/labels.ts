import { z } from 'zod'

/** Platforms of an image, as in `linux/amd64,linux/arm64`. */
export function arePlatforms(text: string): boolean {
  const platforms = text.split(',')
  return (
    platforms.length <= 8 && platforms.every((each) => /^linux\/[a-z0-9]+(\/v\d+)?$/.test(each))
  )
}

const maxAddressChars = 1000

/**
 * The address of a page on the web, for people to open. Never one that a browser runs, and never one
 * with a password.
 */
export const webAddress = z.string().max(maxAddressChars).refine(isWebAddress, {
  message: 'expected an http or https address without a password',
})

export function isWebAddress(text: string): boolean {
  const url = text.length <= maxAddressChars ? URL.parse(text) : null
  return (
    url !== null &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.password === '' &&
    !/[\p{Cc}\s\\]/u.test(text)
  )
}
