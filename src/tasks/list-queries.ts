/** The SQL of lists. */
import type { Caller } from '../auth/caller'
import { exactlyOne, type Sql } from '../database/sql'
import type { ListedRow, Position } from './cursor'
import type { Filter, Order } from './filters'
import type { MaybeRow, TaskRow } from './model'

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
 * Reads a list in the order of creation, without other filters than `completed`.
 *
 * Each direction has its own branch, because only then PostgreSQL walks the index from the cursor. It does not run the other
 * one, and `union all` keeps the rows in order. Without a cursor a branch starts at a bound beyond every task: `id < $1 or $1
 * is null` would read the index from its start. Branches cost time even if they are not run, so orders by title have a
 * statement of their own.
 */
export async function listTasks(
  sql: Sql,
  { id }: Caller,
  { completed }: Filter,
  order: Order,
  { after, limit, skip }: Part,
): Promise<readonly TaskRow[]> {
  const number = after?.number ?? (order === 'created asc' ? 0 : AFTER_EVERY_NUMBER)
  // SafeQL takes every column of a `union` for nullable
  const rows = await sql<MaybeRow[]>`
    -- listTasks
    with listed as not materialized (
      select * from tasks
      where user_id = ${id} and deleted_at is null
        and (${completed}::boolean is null or completed = ${completed})
    )
    (
      select * from listed where ${order} = 'created desc' and id < ${number}
      order by id desc limit ${limit} offset ${skip}
    ) union all (
      select * from listed where ${order} = 'created asc' and id > ${number}
      order by id limit ${limit} offset ${skip}
    )`
  return rows as readonly TaskRow[]
}

/** The same in the order of titles. */
export async function listByTitle(
  sql: Sql,
  { id }: Caller,
  { completed }: Filter,
  order: Order,
  { after, limit, skip }: Part,
): Promise<readonly TaskRow[]> {
  const isUp = order === 'title asc'
  const number = after?.number ?? (isUp ? 0 : AFTER_EVERY_NUMBER)
  const title = String(after?.key ?? (isUp ? '' : AFTER_EVERY_TITLE))
  const rows = await sql<MaybeRow[]>`
    -- listByTitle
    with listed as not materialized (
      select * from tasks
      where user_id = ${id} and deleted_at is null
        and (${completed}::boolean is null or completed = ${completed})
    )
    (
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

const BEFORE_EVERY_KEY = -Number.MAX_SAFE_INTEGER
/** No position begins with it. */
const AFTER_EVERY_POSITION = '~'

/**
 * Reads a list with any filter, in any order. It looks at all tasks of the user, which for most users are few: an index for
 * each filter would be written with each task.
 *
 * What is sorted by a number has one branch: descending, the numbers are negative.
 */
export async function searchTasks(
  sql: Sql,
  { id }: Caller,
  filter: Filter,
  order: Order,
  { after, limit, skip }: Part,
): Promise<readonly ListedRow[]> {
  const [sort = '', direction] = order.split(' ')
  const sign = direction === 'asc' ? 1 : -1
  const isText = sort === 'title' || sort === 'position'
  const number = after?.number ?? (sign === 1 ? 0 : AFTER_EVERY_NUMBER)
  const key = Number(isText ? BEFORE_EVERY_KEY : (after?.key ?? BEFORE_EVERY_KEY))
  const title = String((sort === 'title' && after?.key) || (sign === 1 ? '' : AFTER_EVERY_TITLE))
  const position = String((sort === 'position' && after?.key) || (sign === 1 ? '' : AFTER_EVERY_POSITION))
  const rows = await sql<(MaybeRow & { sort_key: number | null })[]>`
    -- searchTasks
    with found as not materialized (
      select *, case ${sort}
          when 'created' then id * ${sign}::integer
          when 'updated' then revision * ${sign}::integer
          -- what has none comes last in either direction
          when 'priority' then coalesce(
            case priority::text when 'high' then 3 when 'medium' then 2 when 'low' then 1 end * ${sign}::integer,
            ${AFTER_EVERY_NUMBER}::bigint
          )
          -- minutes, of which each day has one more for no time
          when 'due' then coalesce(
            ((due_date - date '1900-01-01')::bigint * 1441
              + coalesce(1 + date_part('hour', due_time) * 60 + date_part('minute', due_time), 0))::bigint * ${sign}::integer,
            ${AFTER_EVERY_NUMBER}::bigint
          )
        end::bigint as sort_key
      from find_tasks(${id}, ${JSON.stringify(filter)}::text::json)
    )
    (
      select * from found
      where ${!isText} and (sort_key, id * ${sign}::integer) > (${key}::bigint, ${number}::bigint * ${sign}::integer)
      order by sort_key, id * ${sign}::integer limit ${limit} offset ${skip}
    ) union all (
      select * from found
      where ${order} = 'title asc' and (lower(title), id) > (lower(${title}::text collate "und-x-icu"), ${number})
      order by lower(title), id limit ${limit} offset ${skip}
    ) union all (
      select * from found
      where ${order} = 'title desc' and (lower(title), id) < (lower(${title}::text collate "und-x-icu"), ${number})
      order by lower(title) desc, id desc limit ${limit} offset ${skip}
    ) union all (
      select * from found
      where ${order} = 'position asc' and (position_of(position, id), id) > (${position}::text collate "C", ${number})
      order by position_of(position, id), id limit ${limit} offset ${skip}
    ) union all (
      select * from found
      where ${order} = 'position desc' and (position_of(position, id), id) < (${position}::text collate "C", ${number})
      order by position_of(position, id) desc, id desc limit ${limit} offset ${skip}
    )`
  return rows as readonly ListedRow[]
}

/** @returns how many tasks match a filter that has no other member than `completed` */
export async function countTasks(sql: Sql, { id }: Caller, { completed }: Filter): Promise<number> {
  const { total } = exactlyOne(
    await sql<{ total: number }[]>`
      -- countTasks
      select count(*) as total from tasks
      where user_id = ${id} and deleted_at is null
        and (${completed}::boolean is null or completed = ${completed})`,
  )
  return total
}

/** @returns how many tasks match the filter */
export async function countFound(sql: Sql, { id }: Caller, filter: Filter): Promise<number> {
  const { total } = exactlyOne(
    await sql<{ total: number }[]>`
      -- countFound
      select count(*) as total from find_tasks(${id}, ${JSON.stringify(filter)}::text::json)`,
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
