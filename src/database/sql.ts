/** How a statement is written. */

/** Dates and objects are left out, because the driver would have to guess their types. */
type Parameter = string | number | boolean | null | Uint8Array | readonly (string | number | null)[]

/**
 * Runs one statement: a static template whose first line is a comment with its name, under which logs, metrics and the
 * database (`pg_stat_activity`) know it.
 *
 * @throws Unanswered, ConnectionLeft, NotReady, or an error of the driver or PostgreSQL; `isUnavailable` tells which may pass
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

/** For a statement that always gives one row. @throws Error if it did not */
export function exactlyOne<Row>(rows: readonly Row[]): Row {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`Expected one row, got ${rows.length}`)
  return row
}

/** How many expired rows a statement deletes at most, so that it holds its locks for milliseconds only. */
export const PURGE_BATCH = 1000
