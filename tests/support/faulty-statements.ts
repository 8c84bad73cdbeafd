/** Statements with one fault each, and one without. None is ever run: SafeQL has to find the faults. */
import type { Pool } from '../../src/database/pool'

interface Page {
  tasks: { description: string }[]
}

export const faultless = (sql: Pool, id: number) =>
  sql<{ id: number; description: string | null }[]>`select id, description from tasks where id = ${id}`

export const renamedColumn = (sql: Pool) => sql<{ label: string }[]>`select label from tasks`

export const renamedColumnInJson = (sql: Pool) => sql<Page[]>`
  select coalesce(json_agg(page.*), '[]') as tasks from (select label as description from tasks) as page`

export const nullableAsNotNull = (sql: Pool) => sql<{ description: string }[]>`select description from tasks`

export const nullableAsNotNullInJson = (sql: Pool) => sql<Page[]>`
  select coalesce(json_agg(page.*), '[]') as tasks from (select description from tasks) as page`

export const textForNumber = (sql: Pool, id: string) =>
  sql<{ title: string }[]>`select title from tasks where id = ${id}`

export const timeAsDate = (sql: Pool) => sql<{ created_at: Date }[]>`select created_at from tasks`

export const untyped = (sql: Pool) => sql`select title from tasks`

export const otherTag = (database: Pool) => database<{ title: string }[]>`select title from tasks`

export const memberTag = (app: { sql: Pool }) => app.sql<{ title: string }[]>`select title from tasks`

export const unsafeText = (sql: Pool) => sql.unsafe('select title from tasks')

export const fileOfSql = (sql: Pool) => sql.file('tasks.sql')

export const transaction = (sql: Pool) => sql.begin(async () => {})
