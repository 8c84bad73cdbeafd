/** A database as it is after some time: many users, one of them with far more than the others. */
import { createHash } from 'node:crypto'
import type { Caller } from '../../src/auth/caller'
import type { Pool } from '../../src/database/pool'
import type { TaskRow } from '../../src/tasks/model'

export interface Crowd {
  users: number
  /** How many of the users have tasks. */
  busy: number
  tasksEach: number
  /** Of the one who has far more. */
  most: number
  /** Of the one who has deleted nearly all. */
  deleted: number
}

/** A column of each table of which nothing depends on how much is known. */
const EVEN = {
  users: 'refuse_tokens_until',
  tasks: 'completed',
  lists: 'archived',
  task_tags: 'name',
  accounts: 'name',
  sessions: 'retried',
  refresh_tokens: 'generation',
  idempotency_keys: 'fingerprint',
  event_tickets: 'token_expires_at',
  told_reminders: 'minutes',
  api_tokens: 'last_four',
  conversations: 'lease',
  messages: 'role',
}

/** When tokens expire, in seconds since 1970. */
const EXPIRES_AT = 4_000_000_000

/** Who has deleted nearly all. */
export const TIDY = 'tidy'
/** Somebody whose tokens come from elsewhere. */
export const WITHOUT_ACCOUNT = 'user-8'
export const PASSWORD_HASH = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(43)}$${'A'.repeat(43)}`

/** Everybody is somewhere in their history: a twentieth of the tasks in the trash, as many ended, half of it long ago. */
export async function fill(sql: Pool, { users, busy, tasksEach, most, deleted }: Crowd): Promise<void> {
  await sql`
    insert into users (id, revision)
    select 'user-' || n, case when n <= ${busy} then ${tasksEach}::bigint else 1 end from generate_series(1, ${users}) as n
    union all select id, ${most}::bigint from unnest(array['most', ${TIDY}]) as id`
  await sql`
    insert into lists (user_id, name, created_at, updated_at, revision)
    select id, 'list ' || n, now(), now(), 1
    from users, generate_series(1, case when id = 'most' then 100 else 4 end) as n
    where revision > 1
    order by id, n`
  // in the order of time, not of users: that is how the rows of one of them come to lie
  await sql`
    insert into tasks (
      user_id, title, description, completed, created_at, updated_at, revision, deleted_at, ended, list_id, tags,
      priority, due_date, overdue_at, position
    )
    select user_id, case when fate = 1 then '' else initcap(left(md5(user_id || n), 12)) || ' ' || n end,
      case when fate <> 1 then repeat('x', 100) end, n % 3 = 0, moment, moment, n,
      case when fate <= 1 then moment + n % 10 / 10.0 * (now() - moment) end, fate = 1,
      case when fate <> 1 and n % 5 = 0 then first_list + n / 5 % list_count end,
      case when fate <> 1 and n % 7 = 0 then array['tag ' || n % 20] end,
      case when is_planned then 'high'::task_priority end, case when is_planned then moment::date end,
      case when is_planned then moment end, case when is_planned then 'p' || lpad(n::text, 16, '0') || 'V' end
    from (
      select 'user-' || u as user_id, n, n::double precision / ${tasksEach} as done, (n + u) % 20 as fate
      from generate_series(1, ${busy}) as u, generate_series(1, ${tasksEach}) as n
      union all select 'most', n, n::double precision / ${most}, n % 20 from generate_series(1, ${most}) as n
      union all select ${TIDY}, n, n::double precision / ${deleted}, case when n % 100 = 0 then 2 else n % 2 end
      from generate_series(1, ${deleted}) as n
    ) as task
    join (select user_id, min(id) as first_list, count(*) as list_count from lists group by user_id) as own using (user_id),
      lateral (select now() - (1 - done) * interval '60 days' as moment) as history,
      lateral (select n % 10 = 3 and fate <> 1 as is_planned) as planning
    order by done, user_id`
  await sql`
    insert into accounts (user_id, email, name, password_hash)
    select id, id || '@example.com', null, ${PASSWORD_HASH} from users where id <> ${WITHOUT_ACCOUNT} order by md5(id)`
  // two each, of which the second may have expired, and for some as many as there may be; half of them used again
  await sql`
    insert into sessions (id, user_id, generation, created_at, last_used_at, expires_at)
    select md5(user_id || ' ' || n)::uuid, user_id, 1 + n % 2, moment, moment, moment + interval '30 days'
    from accounts, generate_series(1, case when user_id in ('most', 'user-1') then 100 else 2 end) as n,
      lateral (select get_byte(sha256(user_id::bytea), 0) as any_number) as byte,
      lateral (
        select now() - case when n = 2 then 20 + any_number % 20 else (any_number + n) % 28 end * interval '1 day' as moment
      ) as history
    -- each use of one makes a new row somewhere
    order by md5(user_id || n)`
  await sql`
    insert into refresh_tokens (token_hash, session_id, generation, expires_at)
    select sha256((id || ' ' || n)::bytea), id, n, expires_at - (generation - n) * interval '10 days'
    from sessions, generate_series(1, generation) as n
    order by md5(id::text || n)`
  await sql`
    insert into idempotency_keys (user_id, key, fingerprint, answer, expires_at)
    select 'user-' || n % ${busy} + 1, n::text, sha256(''), '{}', now() + (n % 26 - 2) * interval '1 hour'
    from generate_series(1, ${users}) as n`
  await sql`insert into idempotency_keys select 'most', key, fingerprint, answer, expires_at from idempotency_keys limit 2000`
  // nine of ten have expired: a ticket is good for a minute, and the purge comes every hour
  await sql`
    insert into event_tickets (ticket_hash, user_id, issued_at, token_expires_at, expires_at)
    select sha256(('ticket of ' || id)::bytea), id, 1700000000, ${EXPIRES_AT},
      now() + (row_number() over (order by md5(id)) % 10 - 8.5) * interval '1 hour'
    from users order by md5(id)`
  // a tenth of the open tasks have one, some of which has just fallen due; as many were told in the last hours
  await sql`
    update tasks set due_date = now()::date, due_time = '12:00', time_zone = 'UTC', due_at = now(), overdue_at = now(),
      reminders = '{30}', remind_at = now() + (id % 1000 - 20) * interval '1 hour'
    where id % 10 = 0 and not completed and deleted_at is null`
  await sql`
    insert into told_reminders (user_id, task_id, due_at, minutes, told_at)
    select user_id, id, now(), 30, now() - id % 27 * interval '1 hour' from tasks where remind_at is not null
    order by id % 27 desc`
  // two each, and for some a hundred, most of which have expired
  await sql`
    insert into api_tokens (user_id, name, scopes, token_hash, last_four, created_at, expires_at)
    select id, 'x', '{tasks:read}', sha256(('token ' || n || ' of ' || id)::bytea), 'abcd', now(), now() + (n - 60) * interval '1 day'
    from users, generate_series(1, case when id in ('most', 'user-1') then 100 else 2 end) as n
    order by md5(id || n)`
  // one each, and for some many, each with a question and its answer; one has many messages
  await sql`
    insert into conversations (user_id)
    select id from users, generate_series(1, case when id in ('most', 'user-1') then 1000 else 1 end) order by md5(id)`
  await sql`
    insert into messages (user_id, conversation_id, role, content, reply_to)
    select user_id, id, case when n % 2 = 1 then 'user' else 'assistant' end, 'x', case when n % 2 = 0 then n end
    from conversations,
      generate_series(1, case when id = (select max(id) from conversations where user_id = 'most') then 10000 else 2 end) as n
    order by md5(id || ' ' || n)`
  for (const [table, column] of Object.entries(EVEN)) {
    // or what is known of the tables would depend on when it came by, and on which rows it looked at: here at all
    await sql`alter table ${sql(table)} set (autovacuum_enabled = false)`
    await sql`alter table ${sql(table)} alter ${sql(column)} set statistics 10000`
    await sql`vacuum (analyze) ${sql(table)}`
  }
}

/** A user, with what statements are called with. */
export interface Subject {
  caller: Caller
  /** The newest. */
  taskId: number
  /** In the middle of all of theirs. */
  middle: { number: number; key: string }
  trashed: number
  /** The newest task, as it is stored. */
  row: TaskRow | undefined
  revision: number
  listId: number
  email: string
  tokenHash: Buffer
  ticketHash: Buffer
  apiToken: { id: number; hash: string }
  conversationId: number
}

/** Also of a user without a row. */
export async function subject(sql: Pool, id: string): Promise<Subject> {
  const [session] = await sql<{ id: string; generation: number }[]>`
    select id, generation from sessions where user_id = ${id} and expires_at > now() order by last_used_at desc limit 1`
  const tasks = await sql<{ id: number; title: string; is_trashed: boolean }[]>`
    select id, title, deleted_at is not null and not ended as is_trashed from tasks
    where user_id = ${id} and not ended order by id`
  const taskId = tasks.findLast(({ is_trashed }) => !is_trashed)?.id ?? 1
  const [row] = await sql<TaskRow[]>`select * from tasks where user_id = ${id} and id = ${taskId}`
  const [user] = await sql<{ revision: number }[]>`select revision from users where id = ${id}`
  const [list] = await sql<{ id: number }[]>`select id from lists where user_id = ${id} order by id limit 1`
  const [apiToken] = await sql<{ id: number; hash: string }[]>`
    select id, encode(token_hash, 'hex') as hash from api_tokens where user_id = ${id} limit 1`
  const [conversation] = await sql<{ id: number | null }[]>`
    select max(id) as id from conversations where user_id = ${id}`
  const middle = tasks[Math.floor(tasks.length / 2)]
  const sessionId = session?.id ?? crypto.randomUUID()
  const token = `${sessionId} ${session?.generation ?? 1}`
  return {
    caller: { id, issuedAt: 1_700_000_000, expiresAt: EXPIRES_AT, sessionId, tokenId: null, scopes: null },
    taskId,
    row,
    revision: user?.revision ?? 0,
    middle: { number: middle?.id ?? 1, key: middle?.title ?? '' },
    trashed: tasks.findLast(({ is_trashed }) => is_trashed)?.id ?? 1,
    listId: list?.id ?? 1,
    email: `${id}@example.com`,
    tokenHash: createHash('sha256').update(token).digest(),
    ticketHash: createHash('sha256').update(`ticket of ${id}`).digest(),
    apiToken: apiToken ?? { id: 1, hash: '00' },
    conversationId: conversation?.id ?? 1,
  }
}
