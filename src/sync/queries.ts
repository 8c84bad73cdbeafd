/** The SQL of changes: the tasks and tombstones with a newer revision than a client has. */
import type { Caller } from '../auth/caller'
import type { UserState } from '../auth/queries'
import type { Sql } from '../database/sql'
import type { MaybeRow, TaskRow } from '../tasks/model'
import type { Position } from './cursor'

/** The owner's state and changes, read in one statement. */
interface ChangesRead extends Omit<UserState, 'version'> {
  changes: TaskRow[]
}

/** A changed task with its owner's state. If there is no change, the state stands alone in one row. */
interface ChangeRow extends MaybeRow {
  owner_revision: number
  /** In seconds since 1970: the owner's tokens issued up to then are refused; null: none is. */
  refuse_tokens_until: number | null
}

function tasksIn(rows: readonly MaybeRow[]): TaskRow[] {
  return rows.filter((row): row is TaskRow => row.id !== null)
}

/**
 * Reads changes in the order of their revisions. That is also the order of their commits, so a change that is committed
 * later has a higher revision.
 *
 * @param position null: begins with the present tasks, without tombstones
 */
export async function readChanges(
  sql: Sql,
  { id }: Caller,
  position: Position | null,
  limit: number,
): Promise<ChangesRead> {
  const rows = await sql<(ChangeRow & { purged_revision: number })[]>`
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
  if (head === undefined) throw new Error('The owner has no row')
  const { owner_revision: revision, purged_revision, refuse_tokens_until } = head
  return { revision, purged_revision, refuse_tokens_until, changes: tasksIn(rows) }
}

export interface NewTicket {
  ticketHash: Buffer
  /** In seconds. */
  lifetime: number
}

/**
 * Stores a ticket, and the user if this is their first write.
 *
 * @returns false if the user was deleted, the session has ended, or another first write of the user came between
 */
export async function createTicket(
  sql: Sql,
  { id, issuedAt, expiresAt, sessionId, tokenId }: Caller,
  { ticketHash, lifetime }: NewTicket,
): Promise<boolean> {
  const created = await sql<{ user_id: string }[]>`
    -- createTicket
    with created as (
      insert into users (id) values (${id})
      on conflict (id) do nothing
      returning id
    ), known as (
      select id from users
      where id = ${id} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and (session_lives(id, ${sessionId}::uuid) or not exists (select from accounts where user_id = users.id))
      -- a user who is being deleted is waited for and not found; else the foreign key would fail
      for key share
    ), owner as (
      select id from created
      union all
      select id from known
    )
    insert into event_tickets (ticket_hash, user_id, issued_at, token_expires_at, session_id, token_id, expires_at)
    select ${ticketHash}, id, ${issuedAt}, ${expiresAt}, ${sessionId}::uuid, ${tokenId},
      clock_timestamp() + make_interval(secs => ${lifetime})
    from owner
    returning user_id`
  return created.length > 0
}

/**
 * Deletes a ticket: of many uses at once, one finds it.
 *
 * @returns the caller of the token that the ticket was made with; undefined if the ticket is unknown, used or expired, the
 *   user was deleted, or the session has ended
 */
export async function redeemTicket(sql: Sql, ticketHash: Buffer): Promise<Caller | undefined> {
  const [caller] = await sql<
    {
      id: string
      issued_at: number | null
      expires_at: number
      session_id: string | null
      token_id: number | null
    }[]
  >`
    -- redeemTicket
    with used as (
      delete from event_tickets where ticket_hash = ${ticketHash}
      returning user_id, issued_at, token_expires_at, session_id, token_id, expires_at
    )
    select users.id, used.issued_at, used.token_expires_at as expires_at, used.session_id, used.token_id
    from used
    join users on users.id = used.user_id and not refuses_token(users.refuse_tokens_until, used.issued_at)
    where used.expires_at > clock_timestamp()
      and (session_lives(users.id, used.session_id) or not exists (select from accounts where user_id = users.id))`
  return (
    caller && {
      id: caller.id,
      issuedAt: caller.issued_at,
      expiresAt: caller.expires_at,
      sessionId: caller.session_id,
      tokenId: caller.token_id,
      // the routes that take a ticket only read
      scopes: null,
    }
  )
}

export interface News extends Omit<ChangesRead, 'purged_revision'> {
  user_id: string
}

/**
 * Reads the changes of many users.
 *
 * @param revisions for each user, the revision that is known
 * @param limit how many changes are read of each user
 * @returns only the users who have a newer revision; their changes are in the order of revisions
 */
export async function readNews(
  sql: Sql,
  userIds: string[],
  revisions: number[],
  limit: number,
): Promise<News[]> {
  const rows = await sql<(ChangeRow & { owner: string })[]>`
    -- readNews
    select users.id as owner, users.revision as owner_revision,
      extract(epoch from users.refuse_tokens_until)::double precision as refuse_tokens_until, change.*
    from unnest(${userIds}::text[], ${revisions}::bigint[]) as known (user_id, revision)
    join users on users.id = known.user_id and users.revision > known.revision
    left join lateral (
      select * from tasks
      where tasks.user_id = users.id and tasks.revision > known.revision
      order by tasks.revision
      -- with a limit that it knows, the planner would choose to read and sort all changes first
      limit (select ${limit}::bigint)
    ) as change on true`
  return [...Map.groupBy(rows, ({ owner }) => owner)].flatMap(([user_id, [head, ...others]]) => {
    if (head === undefined) return []
    const { owner_revision: revision, refuse_tokens_until } = head
    const changes = tasksIn([head, ...others]).sort((a, b) => a.revision - b.revision)
    return [{ user_id, revision, refuse_tokens_until, changes }]
  })
}
