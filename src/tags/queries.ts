/** The SQL of tags: a function for each statement, each with the owner. */
import type { Caller } from '../auth/caller'
import { exactlyOne, type Sql } from '../database/sql'
import type { Tag } from './model'

/** Reads the tags of the tasks that are not in the trash, in alphabetical order. */
export async function readTags(sql: Sql, owner: string): Promise<readonly Tag[]> {
  return sql<Tag[]>`
    -- readTags
    select name, count
    from (
      -- all tasks of a user have the same spelling of a tag
      select min(name) as name, count(*) as count
      from task_tags
      join tasks on tasks.user_id = ${owner} and tasks.id = task_id and deleted_at is null
      where task_tags.user_id = ${owner}
      group by key
    ) as tag
    order by name collate "und-x-icu"`
}

/** What a write of a tag depends on. */
export interface TagRead {
  /** The owner's revision; 0 for a user who has never written. */
  revision: number
  /** In seconds since 1970: the owner's tokens issued up to then are refused; null: none is. */
  refuse_tokens_until: number | null
  /** How the tag is spelled; null if no task has it. */
  name: string | null
  /** How another tag is spelled that has the new name already. */
  other: string | null
}

/** @param next the new name; null: there is none */
export async function readTag(sql: Sql, owner: string, name: string, next: string | null): Promise<TagRead> {
  return exactlyOne(
    await sql<TagRead[]>`
      -- readTag
      with owner as (
        select coalesce(max(revision), 0) as revision, max(refuse_tokens_until) as refuse_tokens_until
        from users where id = ${owner}
      )
      -- the order makes PostgreSQL look into the index, though it may expect to find a common tag anywhere
      select revision, extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until,
        (
          select name from task_tags
          where user_id = ${owner} and key = tag_key(${name})
          order by task_id limit 1
        ) as name,
        (
          select name from task_tags
          where user_id = ${owner} and key = tag_key(${next}) and key <> tag_key(${name})
          order by task_id limit 1
        ) as other
      from owner`,
  )
}

/**
 * Renames a tag of all tasks, or takes it from them. Of tasks that have both names, one is left.
 *
 * The tasks are found before the owner's row is locked. They are still the same if the owner's revision is.
 *
 * @param next the new name; null: the tag is taken away
 * @param expected the owner's revision when the tag was read
 * @returns how many tasks were changed; `stale` if the owner has another revision, or the token is one of a deleted user
 */
export async function writeTag(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  name: string,
  next: string | null,
  expected: number,
): Promise<number | 'stale'> {
  // SafeQL takes the count for nullable
  const [written] = await sql<{ changed: number | null }[]>`
    -- writeTag
    with touched as materialized (
      select old.task_id, old.key, old.name, row_number() over (order by old.task_id) as number,
        ${next}::text is null or new.task_id is not null as is_dropped
      from task_tags as old
      left join task_tags as new on new.user_id = ${owner} and new.key = tag_key(${next}) and new.key <> old.key
        and new.task_id = old.task_id
      where old.user_id = ${owner} and old.key = tag_key(${name})
    ), owner as (
      update users set revision = revision + (select count(*) from touched)
      where id = ${owner} and revision = ${expected} and not refuses_token(refuse_tokens_until, ${issuedAt})
      returning id
    ), stamped as (
      -- tells the trigger that task_tags is written here
      select clock_timestamp() as now, set_config('taskwell.writes_task_tags', 'on', true) from owner
    ), changed as (
      update tasks set
        tags = nullif(array(
          select tag from unnest(array_remove(array_remove(tags, touched.name), ${next}) || ${next}::text) as tag
          where tag is not null
          order by tag collate "und-x-icu"
        ), '{}'),
        updated_at = now,
        revision = ${expected} + number
      from stamped, touched
      where tasks.user_id = ${owner} and tasks.id = touched.task_id
      returning tasks.id
    ), dropped as (
      delete from task_tags using stamped, touched
      where task_tags.user_id = ${owner} and task_tags.key = touched.key and task_tags.task_id = touched.task_id
        and is_dropped
      returning task_tags.task_id
    ), renamed as (
      update task_tags set key = tag_key(${next}), name = ${next}
      from stamped, touched
      where task_tags.user_id = ${owner} and task_tags.key = touched.key and task_tags.task_id = touched.task_id
        and not is_dropped
      returning task_tags.task_id
    )
    select (select count(*) from changed) as changed from owner`
  return written?.changed ?? 'stale'
}
