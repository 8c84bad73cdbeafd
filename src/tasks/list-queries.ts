/** The SQL of lists. */
import type { Caller } from '../auth/caller'
import { exactlyOne, type Sql } from '../database/sql'
import type { Position } from './cursor'
import type { Filter, MaybeRow, TaskRow } from './model'

export type Order = `${'created' | 'title'} ${'asc' | 'desc'}`

/** Which part of a list is read. */
export interface Part {
  /** The last task of the page before; undefined begins. */
  after: Position | undefined
  limit: number
  skip: number
}

const AFTER_EVERY_NUMBER = Number.MAX_SAFE_INTEGER
/** U+FFFF sorts after every character in the root collation (UTS 35, part 5), and no title has 201 of them. */
const AFTER_EVERY_TITLE = '\uffff'.repeat(201)

/**
 * Each order is a branch of its own, because only then is its index walked from the cursor; the other branches are not
 * run, and `union all` keeps the order of the one that is. Each begins at a bound that is always there: `id < $1 or $1 is
 * null` would read the index from its start.
 */
export async function listTasks(
  sql: Sql,
  { id }: Caller,
  filter: Filter,
  order: Order,
  { after, limit, skip }: Part,
): Promise<readonly TaskRow[]> {
  const isUp = order.endsWith('asc')
  const number = after?.number ?? (isUp ? 0 : AFTER_EVERY_NUMBER)
  const title = after?.title ?? (isUp ? '' : AFTER_EVERY_TITLE)
  // SafeQL takes what comes through a `union` for nullable
  const rows = await sql<MaybeRow[]>`
    -- listTasks
    with listed as not materialized (
      select * from tasks
      where user_id = ${id} and deleted_at is null
        and (${filter.completed}::boolean is null or completed = ${filter.completed})
    )
    (
      select * from listed where ${order} = 'created desc' and id < ${number}
      order by id desc limit ${limit} offset ${skip}
    ) union all (
      select * from listed where ${order} = 'created asc' and id > ${number}
      order by id limit ${limit} offset ${skip}
    ) union all (
      select * from listed
      where ${order} = 'title asc' and (lower(title), id) > (lower(${title}::text collate "und-x-icu"), ${number})
      order by lower(title), id limit ${limit} offset ${skip}
    ) union all (
      select * from listed
      where ${order} = 'title desc' and (lower(title), id) < (lower(${title}::text collate "und-x-icu"), ${number})
      order by lower(title) desc, id desc limit ${limit} offset ${skip}
    )`
  return rows as readonly TaskRow[]
}

/** How many tasks the filter lets through. */
export async function countTasks(sql: Sql, { id }: Caller, filter: Filter): Promise<number> {
  const { total } = exactlyOne(
    await sql<{ total: number }[]>`
      -- countTasks
      select count(*) as total from tasks
      where user_id = ${id} and deleted_at is null
        and (${filter.completed}::boolean is null or completed = ${filter.completed})`,
  )
  return total
}

/** The trash, newest deletion first. */
export async function listTrash(
  sql: Sql,
  { id }: Caller,
  { after, limit, skip }: Part,
): Promise<readonly TaskRow[]> {
  return sql<(TaskRow & { deleted_at: string })[]>`
    -- listTrash
    select * from tasks
    where user_id = ${id} and deleted_at is not null and not ended
      and revision < ${after?.number ?? AFTER_EVERY_NUMBER}
    order by revision desc limit ${limit} offset ${skip}`
}

export async function countTrash(sql: Sql, { id }: Caller): Promise<number> {
  const { total } = exactlyOne(
    await sql<{ total: number }[]>`
      -- countTrash
      select count(*) as total from tasks where user_id = ${id} and deleted_at is not null and not ended`,
  )
  return total
}
