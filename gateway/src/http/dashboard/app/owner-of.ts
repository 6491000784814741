import { OwnerName } from '#api/app.ts'
import { Problem } from '#api/problem.ts'

/** The owner that an address names: `?owner=ada`. Null: the app itself. Throws `option-invalid`. */
export function ownerOf(query: URLSearchParams): string | null {
  const owner = OwnerName.nullable().safeParse(query.get('owner'))
  if (owner.success) return owner.data
  throw new Problem('option-invalid', owner.error.issues[0]!.message)
}
