/** What statements are written in. */

/** What a statement takes as a parameter; dates and objects are the driver's to guess, and so are not among them. */
type Parameter = string | number | boolean | null | Uint8Array | readonly (string | number | null)[]

/**
 * Runs one statement: a static template with its name in a comment on its first line, under which it is known in logs
 * and metrics, and to the database (`pg_stat_activity`).
 *
 * @throws what `fromDatabaseError` knows
 */
export type Sql = <Rows extends readonly object[]>(
  template: TemplateStringsArray,
  ...parameters: readonly Parameter[]
) => Promise<Rows>

const names = new WeakMap<TemplateStringsArray, string>()

/** The name in a statement's first line. */
export function nameOf(template: TemplateStringsArray): string {
  const known = names.get(template)
  if (known !== undefined) return known
  const [, name] = /^\s*-- (\w+)\n/.exec(template[0] ?? '') ?? []
  if (name === undefined) throw new Error('A statement begins with its name, in a comment')
  names.set(template, name)
  return name
}

/** For a statement that always gives one row. */
export function exactlyOne<Row>(rows: readonly Row[]): Row {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`Expected one row, got ${rows.length}`)
  return row
}
