/** The SQL of changes: what has a newer revision than a client knows. */

import type { Caller } from '../auth/caller'
import type { UserState } from '../auth/queries'
import type { Sql } from '../database/sql'
import type { MaybeRow, TaskRow } from '../tasks/model'
import type { Position } from './cursor'

/** The owner, and the tasks and tombstones with newer revisions, as of one moment. */
export interface ChangesRead extends Omit<UserState, 'version'> {
  changes: TaskRow[]
}

interface ChangesHead extends Omit<ChangesRead, 'revision' | 'changes'> {
  owner_revision: number
}

/** A task beside what is said of its owner, which stands alone if there is no task. */
type Beside<Head> = Head & MaybeRow

function tasksIn<Head>(rows: readonly Beside<Head>[]): TaskRow[] {
  return rows.filter((row): row is Head & TaskRow => row.id !== null)
}

/**
 * Changes in the order of their revisions, which is the order of their commits: what is not there yet has a higher one.
 *
 * @param position null begins: with what lives, and with no tombstones
 */
export async function readChanges(
  sql: Sql,
  { id }: Caller,
  position: Position | null,
  limit: number,
): Promise<ChangesRead> {
  const rows = await sql<Beside<ChangesHead>[]>`
    -- readChanges
    with owner as (
      select coalesce(max(revision), 0) as owner_revision, coalesce(max(purged_revision), 0) as purged_revision,
        max(refuse_tokens_until) as refuse_tokens_until
      from users where id = ${id}
    )
    select owner_revision, purged_revision,
      extract(epoch from refuse_tokens_until)::double precision as refuse_tokens_until, change.*
    from owner
    left join lateral (
      select * from tasks
      where user_id = ${id} and revision > ${position?.revision ?? 0}
        and (deleted_at is null or revision > coalesce(${position?.begun ?? null}, owner.owner_revision))
      order by revision
      limit ${limit}
    ) as change on true
    order by change.revision`
  const [head] = rows
  if (head === undefined) throw new Error('Changes have a head')
  const { owner_revision: revision, purged_revision, refuse_tokens_until } = head
  return { revision, purged_revision, refuse_tokens_until, changes: tasksIn(rows) }
}

export interface NewsRow {
  user_id: string
  revision: number
  /** Tokens issued up to then are refused, in seconds since 1970; null: none are. */
  refuse_tokens_until: number | null
  changes: TaskRow[]
}

/** For many users at once: who has a newer revision than is known, and the changes since. */
export async function readNews(
  sql: Sql,
  userIds: string[],
  revisions: number[],
  limit: number,
): Promise<NewsRow[]> {
  const rows = await sql<NewsOfTask[]>`
    -- readNews
    select users.id as owner, users.revision as owner_revision,
      extract(epoch from users.refuse_tokens_until)::double precision as refuse_tokens_until, change.*
    from unnest(${userIds}::text[], ${revisions}::bigint[]) as known (user_id, revision)
    join users on users.id = known.user_id and users.revision > known.revision
    left join lateral (
      select * from tasks
      where tasks.user_id = users.id and tasks.revision > known.revision
      order by tasks.revision
      -- a limit that the planner knows would have it read and sort all first
      limit (select ${limit}::bigint)
    ) as change on true`
  return [...Map.groupBy(rows, ({ owner }) => owner)].flatMap(([user_id, [head, ...others]]) => {
    if (head === undefined) return []
    const { owner_revision: revision, refuse_tokens_until } = head
    const changes = tasksIn([head, ...others]).sort((a, b) => a.revision - b.revision)
    return [{ user_id, revision, refuse_tokens_until, changes }]
  })
}

/** The head is beside each change, or alone. */
type NewsOfTask = Beside<{ owner: string; owner_revision: number; refuse_tokens_until: number | null }>
