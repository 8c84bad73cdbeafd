/** The SQL of lists. */
import type { Caller } from '../auth/caller'
import { exactlyOne, type Sql } from '../database/sql'
import type { Position } from './cursor'
import type { Filter, MaybeRow, Order, TaskRow } from './model'

/** Which part of a list is read. */
export interface Part {
  /** The last task of the previous page; undefined: the list is read from its start. */
  after: Position | undefined
  limit: number
  skip: number
}

const AFTER_EVERY_NUMBER = Number.MAX_SAFE_INTEGER
/** U+FFFF sorts after every character in the root collation (UTS 35, part 5), and no title has 201 of them. */
const AFTER_EVERY_TITLE = '\uffff'.repeat(201)

/**
 * Each order has its own branch, because only then PostgreSQL walks the order's index from the cursor. It does not run the
 * other branches, and `union all` keeps the rows in order. Without a cursor a branch starts at a bound beyond every task:
 * `id < $1 or $1 is null` would read the index from its start.
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
  // SafeQL takes every column of a `union` for nullable
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

/** @returns how many tasks match the filter */
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

/** Reads the trash, newest deletion first. */
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
