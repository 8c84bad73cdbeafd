/** The SQL of lists: a function for each statement, each with the owner. */
import type { Caller } from '../auth/caller'
import type { Sql } from '../database/sql'
import type { Revisions } from '../http/etag'
import type { IdempotencyKey } from '../http/idempotency'
import { isKeyUsed } from '../tasks/queries'
import type { CountedRow, ListCreate, ListRow, ListUpdate } from './model'

/** Reads all lists of a user, in their order. */
export async function readLists(sql: Sql, owner: string): Promise<readonly CountedRow[]> {
  return sql<CountedRow[]>`
    -- readLists
    select lists.*, (
      select count(*) from tasks
      where user_id = ${owner} and list_id = lists.id and deleted_at is null and not completed
    ) as open_count
    from lists
    where user_id = ${owner}
    order by position_of(position, id) collate "C"`
}

/** @returns undefined if the caller has no such list, or is deleted */
export async function findList(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
): Promise<CountedRow | undefined> {
  const [list] = await sql<CountedRow[]>`
    -- findList
    select lists.*, (
      select count(*) from tasks
      where user_id = ${owner} and list_id = ${id} and deleted_at is null and not completed
    ) as open_count
    from lists
    join users on users.id = user_id and not refuses_token(refuse_tokens_until, ${issuedAt})
    where user_id = ${owner} and lists.id = ${id}`
  return list
}

/** What a write of lists depends on. */
export interface ListsRead {
  /** The owner's revision; 0 for a user who has never written. */
  revision: number
  /** In seconds since 1970: the owner's tokens issued up to then are refused; null: none is. */
  refuse_tokens_until: number | null
  /** In any order. */
  lists: ListRow[]
}

type MaybeList = { [Field in keyof ListRow]: ListRow[Field] | null }

export async function readForWrite(sql: Sql, owner: string): Promise<ListsRead> {
  const rows = await sql<(MaybeList & { owner_revision: number; refuse_tokens_until: number | null })[]>`
    -- readForWrite
    with owner as (
      select coalesce(max(revision), 0) as owner_revision, max(refuse_tokens_until) as refuse_tokens_until
      from users where id = ${owner}
    )
    select lists.*, owner_revision,
      extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until
    from owner
    left join lists on user_id = ${owner}`
  const [
    { owner_revision: revision, refuse_tokens_until } = { owner_revision: 0, refuse_tokens_until: null },
  ] = rows
  return {
    revision,
    refuse_tokens_until,
    lists: rows.filter((row): row is typeof row & ListRow => row.id !== null),
  }
}

/**
 * Creates a list, and the user with their first write.
 *
 * @param expected the owner's revision when it was read how many lists there are
 * @returns `stale` if the owner has another one, or the token is one of a deleted user; undefined if the key has been used
 */
export async function createList(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  { name, color = null, archived = false }: ListCreate,
  expected: number,
  idempotency: IdempotencyKey | undefined,
): Promise<ListRow | 'stale' | undefined> {
  const { key, fingerprint } = idempotency ?? { key: null, fingerprint: null }
  const created = await sql<ListRow[]>`
    -- createList
    with owner as (
      insert into users (id, revision) values (${owner}, ${expected}::bigint + 1)
      on conflict (id) do update set revision = users.revision + 1
      where users.revision = ${expected} and not refuses_token(users.refuse_tokens_until, ${issuedAt})
      returning id, revision
    ), stamped as (
      select id, revision, clock_timestamp() as now from owner
    ), list as (
      insert into lists (user_id, name, color, archived, created_at, updated_at, revision)
      select id, ${name}, ${color}, ${archived}, now, now, revision
      from stamped
      returning *
    ), claimed as (
      -- if the key has been used, also by a concurrent request, this fails and undoes the whole statement
      insert into idempotency_keys (user_id, key, fingerprint, answer)
      select user_id, ${key}, ${fingerprint}, (to_jsonb(list) || jsonb_build_object(
        'created_at', rfc3339(created_at), 'updated_at', rfc3339(updated_at)
      ))::json
      from list
      where ${key}::text is not null
      returning key
    )
    select * from list`.catch((error: unknown) => {
    if (isKeyUsed(error)) return undefined
    throw error
  })
  return created && (created[0] ?? 'stale')
}

/**
 * Changes a list. The condition is checked again on the locked row: of two concurrent changes of the same revision, one is made.
 *
 * @returns undefined if the caller has no list of this id and these revisions, or is deleted
 */
export async function updateList(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  change: ListUpdate,
  ifMatch: Revisions,
): Promise<CountedRow | undefined> {
  const [list] = await sql<CountedRow[]>`
    -- updateList
    with owner as (
      update users set revision = revision + 1
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and exists (
          select from lists
          where user_id = ${owner} and id = ${id} and (${ifMatch}::bigint[] is null or revision = any (${ifMatch}))
        )
      returning revision
    ), stamped as (
      select revision, clock_timestamp() as now, ${JSON.stringify(change)}::text::jsonb as change from owner
    )
    update lists set
      name = case when change ? 'name' then change ->> 'name' else name end,
      color = case when change ? 'color' then change ->> 'color' else color end,
      archived = case when change ? 'archived' then (change ->> 'archived')::boolean else archived end,
      updated_at = now,
      revision = stamped.revision
    from stamped
    where user_id = ${owner} and id = ${id} and (${ifMatch}::bigint[] is null or lists.revision = any (${ifMatch}))
    returning lists.*, (
      select count(*) from tasks
      where user_id = ${owner} and list_id = ${id} and deleted_at is null and not completed
    ) as open_count`
  return list
}

/**
 * Changes the position of a list.
 *
 * @param expected the owner's revision when the positions were read
 * @returns `stale` if the owner has another one, or the token is one of a deleted user
 */
export async function moveList(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  position: string,
  expected: number,
): Promise<CountedRow | 'stale'> {
  const [list] = await sql<CountedRow[]>`
    -- moveList
    with owner as (
      update users set revision = revision + 1
      where id = ${owner} and revision = ${expected} and not refuses_token(refuse_tokens_until, ${issuedAt})
      returning revision
    )
    update lists set position = ${position}, updated_at = clock_timestamp(), revision = owner.revision
    from owner
    where user_id = ${owner} and id = ${id}
    returning lists.*, (
      select count(*) from tasks
      where user_id = ${owner} and list_id = ${id} and deleted_at is null and not completed
    ) as open_count`
  return list ?? 'stale'
}

/**
 * Deletes a list. Its tasks, those in the trash too, are in no list then.
 *
 * The tasks are found before the owner's row is locked. They are still the same if the owner's revision is.
 *
 * @param toTrash whether its living tasks go to the trash, and with them their steps, which may be in other lists
 * @param expected the owner's revision when the list was read
 * @returns whether it was done; if not, the owner has another revision, or the token is one of a deleted user
 */
export async function deleteList(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  toTrash: boolean,
  expected: number,
): Promise<boolean> {
  const deleted = await sql<{ id: number }[]>`
    -- deleteList
    with touched as materialized (
      select id, row_number() over (order by id) as number, bool_or(is_trashed) as is_trashed, bool_or(is_step) as is_step
      from (
        select id, ${toTrash} and deleted_at is null as is_trashed, false as is_step
        from tasks
        where user_id = ${owner} and list_id = ${id}
        union all
        select step.id, true, true
        from tasks as parent
        join tasks as step on step.user_id = ${owner} and step.parent_id = parent.id and step.deleted_at is null
        where parent.user_id = ${owner} and parent.list_id = ${id} and parent.deleted_at is null and parent.has_steps
          and ${toTrash}
      ) as task
      group by id
    ), owner as (
      update users set revision = revision + 1 + (select count(*) from touched)
      where id = ${owner} and revision = ${expected} and not refuses_token(refuse_tokens_until, ${issuedAt})
      returning id
    ), stamped as (
      select clock_timestamp() as now from owner
    ), changed as (
      update tasks set
        list_id = nullif(list_id, ${id}),
        deleted_at = case when is_trashed then now else deleted_at end,
        deleted_with_parent = deleted_with_parent or is_step,
        updated_at = now,
        revision = ${expected} + number
      from stamped, touched
      where user_id = ${owner} and tasks.id = touched.id
      returning tasks.id
    )
    delete from lists using stamped
    where user_id = ${owner} and lists.id = ${id}
    returning lists.id`
  return deleted.length > 0
}
