/** The manifest of an image, or the index of images for several platforms. */
export type Manifest = { digest: string; mediaType: string; bytes: Uint8Array }
