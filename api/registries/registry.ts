import { z } from 'zod'
import { Problem } from '../problem.ts'

/** How a login was found. Only `works` is good. */
export const LoginVerdict = z.enum([
  'works',
  'wrong-password',
  'no-right',
  'no-such-image',
  'no-such-host',
  'private-address',
  'tls',
  'not-a-registry',
  'unreachable',
])
export type LoginVerdict = z.infer<typeof LoginVerdict>

/** The last test of a login. */
export const LoginTest = z.object({
  at: z.string(),
  verdict: LoginVerdict,
  /** As a sentence. */
  detail: z.string(),
  /** The image that was asked for. Null: only the login was tried. */
  image: z.string().nullable(),
})
export type LoginTest = z.infer<typeof LoginTest>

/** A login at a registry, without its password, which is never shown. Times are ISO 8601, UTC. */
export const Registry = z.object({
  id: z.string(),
  /** `ghcr.io`, or with a beginning of its repositories: `ghcr.io/acme`. */
  address: z.string(),
  username: z.string(),
  /** Whose apps may use it. Null: all apps. */
  team: z.string().nullable(),
  createdAt: z.string(),
  createdBy: z.string(),
  /** When its password was replaced last. */
  rotatedAt: z.string().nullable(),
  lastTest: LoginTest.nullable(),
  /** At most a minute behind. */
  lastUsedAt: z.string().nullable(),
})
export type Registry = z.infer<typeof Registry>

export const maxPasswordBytes = 16 * 1024

const Username = z
  .string()
  .regex(/^[^\p{Cc}:]{1,256}$/u, 'has 1 to 256 characters, without a colon or line ends')
const Password = z
  .string()
  .min(1, 'is empty')
  .refine((text) => new TextEncoder().encode(text).length <= maxPasswordBytes, {
    message: `has at most ${maxPasswordBytes / 1024} KiB`,
  })
  .refine((text) => !text.includes('\0'), 'has a NUL, which no password has')
const Image = z.string().min(1).max(1024)

const NewRegistry = z.strictObject({
  address: z.string().min(1).max(500),
  username: Username,
  password: Password,
  /** Absent: as its maker, whose only team it is. Null: all teams. */
  team: z.string().min(1).max(63).nullable().optional(),
  /** False: keep it without asking the registry. */
  test: z.boolean().default(true),
  /** An image that the login must be able to read. */
  image: Image.nullable().default(null),
})
export type NewRegistry = z.infer<typeof NewRegistry>

const Rotation = z.strictObject({
  password: Password,
  /** Absent: as before. */
  username: Username.optional(),
  test: z.boolean().default(true),
  image: Image.nullable().default(null),
})
export type RegistryRotation = z.infer<typeof Rotation>

const TestRequest = z.strictObject({ image: Image.nullable().default(null) })
export type RegistryTest = z.infer<typeof TestRequest>

export const readNewRegistry = (body: object): NewRegistry => read(NewRegistry, body)
export const readRotation = (body: object): RegistryRotation => read(Rotation, body)
export const readTestRequest = (body: object): RegistryTest => read(TestRequest, body)

/** Throws `registry-invalid`, which names each fault and repeats no value. */
function read<T>(schema: z.ZodType<T>, body: object): T {
  const { data, error } = schema.safeParse(body)
  if (data !== undefined) return data
  const faults = error?.issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
  throw new Problem(
    'registry-invalid',
    `The login at a registry cannot be used. ${faults?.join('; ')}.`,
  )
}
