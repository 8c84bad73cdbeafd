/** Statements with one fault each, and one without. None is ever run: SafeQL has to find the faults. */
import type { Sql } from '../../src/database/connection'

interface Page {
  tasks: { description: string }[]
}

export const faultless = (sql: Sql, id: number) =>
  sql<{ id: number; description: string | null }[]>`select id, description from tasks where id = ${id}`

export const renamedColumn = (sql: Sql) => sql<{ label: string }[]>`select label from tasks`

export const renamedColumnInJson = (sql: Sql) => sql<Page[]>`
  select coalesce(json_agg(page.*), '[]') as tasks from (select label as description from tasks) as page`

export const nullableAsNotNull = (sql: Sql) => sql<{ description: string }[]>`select description from tasks`

export const nullableAsNotNullInJson = (sql: Sql) => sql<Page[]>`
  select coalesce(json_agg(page.*), '[]') as tasks from (select description from tasks) as page`

export const textForNumber = (sql: Sql, id: string) =>
  sql<{ title: string }[]>`select title from tasks where id = ${id}`

export const rawTime = (sql: Sql) => sql<{ created_at: Date }[]>`select created_at from tasks`

export const untyped = (sql: Sql) => sql`select title from tasks`

export const otherTag = (database: Sql) => database<{ title: string }[]>`select title from tasks`

export const memberTag = (app: { sql: Sql }) => app.sql<{ title: string }[]>`select title from tasks`

export const unsafeText = (sql: Sql) => sql.unsafe('select title from tasks')

export const fileOfSql = (sql: Sql) => sql.file('tasks.sql')

export const transaction = (sql: Sql) => sql.begin(async () => {})
