import { Problem } from '#api/problem.ts'

/** Removes the values from a problem of Fly's: an answer may repeat what was sent. */
export async function withoutValues<T>(
  values: ReadonlyMap<string, string | null>,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const secrets = [...values.values()].filter((value) => value !== null && value !== '')
    // A value is redacted also where JSON has escaped it.
    const forms = secrets.flatMap((value) => [value!, JSON.stringify(value).slice(1, -1)])
    const redact = (text: string) =>
      forms.reduce((rest, form) => rest.replaceAll(form, '***'), text)
    const { status } = error.facts
    throw new Problem(error.code, redact(error.message), { facts: { status } })
  }
}
