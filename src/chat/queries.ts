/** The SQL of conversations: a function for each statement, each with the owner. */
import type { Caller } from '../auth/caller'
import type { Sql } from '../database/sql'
import type { Conversation, Message, ToolCall } from './model'

/** Where a message is. */
export interface Place {
  conversationId: number
  messageId: number
}

/**
 * Begins a conversation with its first message, and creates the user if this is their first write.
 *
 * @param lease names who answers
 * @param seconds how long the lease lasts if it is not extended
 * @returns undefined if the user was deleted, or another first write of the user came between
 */
export async function beginConversation(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  content: string,
  lease: string,
  seconds: number,
): Promise<Place | undefined> {
  const [begun] = await sql<{ conversation_id: number; message_id: number }[]>`
    -- beginConversation
    with created as (
      insert into users (id) values (${owner})
      on conflict (id) do nothing
      returning id
    ), known as (
      select id from users
      where id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt})
      -- a user who is being deleted is waited for and not found; else the foreign key would fail
      for key share
    ), owner as (
      select id from created
      union all
      select id from known
    ), conversation as (
      insert into conversations (user_id, lease, leased_until)
      select id, ${lease}::uuid, clock_timestamp() + make_interval(secs => ${seconds}) from owner
      returning user_id, conversations.id as conversation_id
    ), message as (
      insert into messages (user_id, conversation_id, role, content)
      select user_id, conversation_id, 'user', ${content} from conversation
      returning conversation_id, id as message_id
    )
    select conversation_id, message_id from message`
  return begun && { conversationId: begun.conversation_id, messageId: begun.message_id }
}

/**
 * Adds a message to a conversation in which nobody answers at the moment.
 *
 * @returns undefined if somebody does, or the caller has no such conversation, or was deleted
 */
export async function continueConversation(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  content: string,
  lease: string,
  seconds: number,
): Promise<Place | undefined> {
  const [continued] = await sql<{ message_id: number }[]>`
    -- continueConversation
    with conversation as (
      update conversations set
        lease = ${lease}::uuid,
        leased_until = clock_timestamp() + make_interval(secs => ${seconds}),
        updated_at = clock_timestamp()
      where user_id = ${owner} and id = ${id}
        and coalesce(leased_until <= clock_timestamp(), true)
        and exists (select from users where users.id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt}))
      returning user_id, id
    ), message as (
      insert into messages (user_id, conversation_id, role, content)
      select user_id, id, 'user', ${content} from conversation
      returning id as message_id
    )
    select message_id from message`
  return continued && { conversationId: id, messageId: continued.message_id }
}

/** Whether the caller has such a conversation, and was not deleted. */
export async function hasConversation(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
): Promise<boolean> {
  const found = await sql<{ id: number }[]>`
    -- hasConversation
    select conversations.id from conversations
    join users on users.id = user_id and not refuses_token(refuse_tokens_until, ${issuedAt})
    where user_id = ${owner} and conversations.id = ${id}`
  return found.length > 0
}

/** Extends a lease. */
export async function extendLease(
  sql: Sql,
  owner: string,
  id: number,
  lease: string,
  seconds: number,
): Promise<void> {
  await sql<{ id: number }[]>`
    -- extendLease
    update conversations set leased_until = clock_timestamp() + make_interval(secs => ${seconds})
    where user_id = ${owner} and id = ${id} and lease = ${lease}::uuid
    returning id`
}

/** Ends a lease without an answer: what the user has said stays. */
export async function endLease(sql: Sql, owner: string, id: number, lease: string): Promise<void> {
  await sql<{ id: number }[]>`
    -- endLease
    update conversations set lease = null, leased_until = null
    where user_id = ${owner} and id = ${id} and lease = ${lease}::uuid
    returning id`
}

/**
 * Stores the answer to a message in the place of what was stored of it before. Of a conversation that has been deleted, nothing
 * is kept.
 *
 * @param answer.toolCalls as JSON; null: there are none
 * @param answer.isWhole ends the lease; else nothing is stored once the lease has ended
 */
export async function storeAnswer(
  sql: Sql,
  owner: string,
  { conversationId: id, messageId }: Place,
  lease: string,
  { content, toolCalls, isWhole }: { content: string; toolCalls: string | null; isWhole: boolean },
): Promise<void> {
  await sql<{ id: number }[]>`
    -- storeAnswer
    with conversation as (
      update conversations set
        -- another one may answer meanwhile, if this process has stood still
        lease = case when ${isWhole} and lease = ${lease}::uuid then null else lease end,
        leased_until = case when ${isWhole} and lease = ${lease}::uuid then null else leased_until end,
        updated_at = clock_timestamp()
      where user_id = ${owner} and id = ${id} and (${isWhole} or lease = ${lease}::uuid)
      returning user_id, id
    )
    insert into messages (user_id, conversation_id, role, content, reply_to, tool_calls)
    select user_id, id, 'assistant', ${content}, ${messageId}, ${toolCalls}::text::json from conversation
    on conflict (user_id, conversation_id, reply_to) do update
      set content = excluded.content, tool_calls = excluded.tool_calls
    returning id`
}

/** What a user has said, and what was answered. */
export interface Exchange {
  question: string
  answer: string
}

/** Reads the last answers of a conversation, the newest first, each with what it answers; messages without an answer are left out. */
export async function readHistory(
  sql: Sql,
  owner: string,
  id: number,
  limit: number,
): Promise<readonly Exchange[]> {
  return sql<Exchange[]>`
    -- readHistory
    with answered as (
      select id, content, reply_to from messages
      where user_id = ${owner} and conversation_id = ${id} and role = 'assistant'
      order by id desc
      limit ${limit}
    )
    select question.content as question, answered.content as answer
    from answered
    cross join lateral (
      select messages.content from messages
      where user_id = ${owner} and conversation_id = ${id} and messages.id = answered.reply_to
      -- else the planner would join all messages of the conversation
      limit 1
    ) as question
    order by answered.id desc`
}

/** @returns the conversations of the caller, the newest first; none for a deleted user */
export async function listConversations(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  { after, limit }: Omit<PageRequest, 'ascending'>,
): Promise<Conversation[]> {
  const conversations = await sql<(Omit<Conversation, 'title'> & { title: string | null })[]>`
    -- listConversations
    select id, user_id, (
      select left(btrim(regexp_replace(content, '[[:space:]]+', ' ', 'g')), 100) from messages
      where messages.user_id = ${owner} and conversation_id = conversations.id
      order by messages.id
      limit 1
    )::text as title, created_at, updated_at
    from conversations
    where user_id = ${owner} and id < ${after}
      and exists (select from users where users.id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt}))
    order by id desc
    limit ${limit}`
  // there is always a message
  return conversations.map((row) => ({ ...row, title: row.title ?? '' }))
}

/** Which part of a list is read. */
export interface PageRequest {
  /** The id behind which it begins. */
  after: number
  limit: number
  /** Whether the oldest come first. */
  ascending: boolean
}

/** A row of `messages`. */
type MessageRow = Omit<Message, 'role' | 'tool_calls'> & { role: string; tool_calls: unknown }

/** @returns the messages of a conversation of the caller; none if there is no such conversation, or for a deleted user */
export async function listMessages(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
  { after, limit, ascending }: PageRequest,
): Promise<Message[]> {
  // SafeQL takes every column of a `union` for nullable. Each direction has its own branch, as in `listTasks`
  const messages = await sql<
    {
      id: number | null
      conversation_id: number | null
      role: string | null
      content: string | null
      tool_calls: unknown | null
      created_at: string | null
    }[]
  >`
    -- listMessages
    with listed as not materialized (
      select id, conversation_id, role, content, tool_calls, created_at from messages
      where user_id = ${owner} and conversation_id = ${id}
        and exists (select from users where users.id = ${owner} and not refuses_token(refuse_tokens_until, ${issuedAt}))
    )
    (
      select * from listed where ${ascending} and id > ${after} order by id limit ${limit}
    ) union all (
      select * from listed where not ${ascending} and id < ${after} order by id desc limit ${limit}
    )`
  return (messages as MessageRow[]).map(toMessage)
}

/** Deletes a conversation with its messages. @returns false if the caller has no such conversation, or was deleted */
export async function deleteConversation(
  sql: Sql,
  { id: owner, issuedAt }: Caller,
  id: number,
): Promise<boolean> {
  const deleted = await sql<{ id: number }[]>`
    -- deleteConversation
    delete from conversations using users
    where user_id = ${owner} and conversations.id = ${id}
      and users.id = user_id and not refuses_token(refuse_tokens_until, ${issuedAt})
    returning conversations.id`
  return deleted.length > 0
}

function toMessage({ role, tool_calls, ...row }: MessageRow): Message {
  const { id, conversation_id, content, created_at } = row
  // the constraints of the table know no other roles, and only `storeAnswer` writes calls
  const calls = (tool_calls ?? []) as ToolCall[]
  const by = role === 'assistant' ? role : 'user'
  return { id, conversation_id, role: by, content, tool_calls: calls, created_at }
}
