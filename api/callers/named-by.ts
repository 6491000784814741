/** Whether a rule, a whole name or a beginning of names that ends with `*`, names this. */
export const isNamedBy = (rule: string, name: string): boolean =>
  rule.endsWith('*') ? name.startsWith(rule.slice(0, -1)) : name === rule
