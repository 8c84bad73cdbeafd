/** The SQL of accounts and sessions: a function for each statement. */
import type { Caller } from '../auth/caller'
import { exactlyOne, type Sql } from '../database/sql'
import type { Session } from './model'

/** A user with an account. */
interface UserRow {
  id: string
  email: string
  name: string | null
  created_at: string
}

export interface SessionRow extends UserRow {
  session_id: string
}

/** A session with its first refresh token. */
export interface NewSession {
  sessionId: string
  tokenHash: Buffer
  userAgent: string | null
}

export interface NewAccount extends NewSession {
  userId: string
  email: string
  name: string | null
  passwordHash: string
}

/** Creates a user with an account and a session. @returns undefined if the e-mail address is taken */
export async function createAccount(sql: Sql, account: NewAccount): Promise<SessionRow | undefined> {
  const [created] = await sql<SessionRow[]>`
    -- createAccount
    with account as (
      -- inserted before its user, which works because foreign keys are checked when the statement ends: if the address
      -- is taken, no row is made
      insert into accounts (user_id, email, name, password_hash)
      values (${account.userId}, ${account.email}, ${account.name}, ${account.passwordHash})
      on conflict (email_key(email)) do nothing
      returning user_id, email, name
    ), owner as (
      insert into users (id) select user_id from account
      returning id, created_at
    ), session as (
      insert into sessions (id, user_id, user_agent)
      select ${account.sessionId}::uuid, user_id, ${account.userAgent} from account
      returning id, generation, expires_at
    ), token as (
      insert into refresh_tokens (token_hash, session_id, generation, expires_at)
      select ${account.tokenHash}, id, generation, expires_at from session
    )
    select owner.id, account.email, account.name, owner.created_at,
      session.id as session_id
    from account, owner, session`
  return created
}

export interface PasswordRow {
  user_id: string
  email: string
  password_hash: string
}

/** @returns undefined if no account has this e-mail address */
export async function findByEmail(sql: Sql, email: string): Promise<PasswordRow | undefined> {
  const [account] = await sql<PasswordRow[]>`
    -- findByEmail
    select user_id, email, password_hash from accounts where email_key(email) = email_key(${email})`
  return account
}

/** How many sessions an account may have: a new one replaces the least recently used. */
const MAX_SESSIONS = 100

interface SignIn extends NewSession {
  userId: string
  /** The e-mail address and hash with which the password was verified. */
  email: string
  passwordHash: string
  /** Replaces the hash; null keeps it. */
  nextPasswordHash: string | null
}

/** Creates a session. @returns undefined if the e-mail address or the password has changed since it was verified */
export async function createSession(sql: Sql, signIn: SignIn): Promise<SessionRow | undefined> {
  const [created] = await sql<SessionRow[]>`
    -- createSession
    with account as (
      select user_id, email, name from accounts
      where user_id = ${signIn.userId} and email = ${signIn.email} and password_hash = ${signIn.passwordHash}
      for no key update
    ), rehashed as (
      update accounts set password_hash = ${signIn.nextPasswordHash}
      from account
      where accounts.user_id = account.user_id and ${signIn.nextPasswordHash}::text is not null
    ), surplus as (
      delete from sessions
      where id = any (array(
        select id from sessions where user_id = (select user_id from account)
        order by last_used_at desc
        offset ${MAX_SESSIONS - 1}
      ))
    ), session as (
      insert into sessions (id, user_id, user_agent)
      select ${signIn.sessionId}::uuid, user_id, ${signIn.userAgent} from account
      returning id, user_id, generation, expires_at
    ), token as (
      insert into refresh_tokens (token_hash, session_id, generation, expires_at)
      select ${signIn.tokenHash}, id, generation, expires_at from session
    )
    select users.id, account.email, account.name, users.created_at,
      session.id as session_id
    from account, session
    join users on users.id = session.user_id`
  return created
}

interface Rotation {
  /** The digest of the token that was sent. */
  tokenHash: Buffer
  /** The digest of the token that the answer has. */
  nextTokenHash: Buffer
  userAgent: string | null
}

/**
 * Replaces a refresh token by the next one. Because an answer may be lost, a token of the previous generation works once
 * more within ten seconds. Later, or if it is older, it ends its session (RFC 9700 section 4.14.2).
 *
 * @returns undefined if the token is unknown, expired or used
 */
export async function rotateToken(sql: Sql, rotation: Rotation): Promise<SessionRow | undefined> {
  const [rotated] = await sql<SessionRow[]>`
    -- rotateToken
    with session as (
      -- locked before the token is checked, so that the second of two concurrent uses sees the result of the first
      select sessions.id,
        token.generation = sessions.generation as is_current,
        token.generation = sessions.generation - 1
          and clock_timestamp() < sessions.rotated_at + interval '10 seconds' as is_recent,
        sessions.retried
      from refresh_tokens as token
      join sessions on sessions.id = token.session_id
      where token.token_hash = ${rotation.tokenHash} and token.expires_at > clock_timestamp()
      for no key update of sessions
    ), ended as (
      delete from sessions using session
      where sessions.id = session.id and not (is_current or is_recent)
    ), rotated as (
      update sessions set
        -- a retry adds a second token of the newest generation; the first of the two to be used makes the other one old
        generation = sessions.generation + is_current::integer,
        rotated_at = case when is_current then clock_timestamp() else sessions.rotated_at end,
        retried = not is_current,
        last_used_at = clock_timestamp(),
        expires_at = clock_timestamp() + interval '30 days',
        user_agent = ${rotation.userAgent}
      from session
      where sessions.id = session.id and (is_current or (is_recent and not session.retried))
      returning sessions.id, sessions.user_id, sessions.generation, sessions.expires_at
    ), token as (
      insert into refresh_tokens (token_hash, session_id, generation, expires_at)
      select ${rotation.nextTokenHash}, id, generation, expires_at from rotated
    )
    select users.id, accounts.email, accounts.name, users.created_at,
      rotated.id as session_id
    from rotated
    join accounts on accounts.user_id = rotated.user_id
    join users on users.id = rotated.user_id`
  return rotated
}

/** Ends the session of a refresh token, also of a used one. */
export async function endSessionOf(sql: Sql, tokenHash: Buffer): Promise<void> {
  await sql<{ id: string }[]>`
    -- endSessionOf
    delete from sessions using refresh_tokens
    where refresh_tokens.token_hash = ${tokenHash} and sessions.id = refresh_tokens.session_id
    returning id`
}

export interface CallerRow {
  /** Whether the user has been deleted since the token was issued, or the token's session has ended. */
  is_refused: boolean
  has_account: boolean
  email: string | null
  name: string | null
  known_since: string | null
}

/** Reads the caller's user and account. There is always a row. */
export async function findCaller(sql: Sql, { id, issuedAt, sessionId }: Caller): Promise<CallerRow> {
  return exactlyOne(
    await sql<CallerRow[]>`
      -- findCaller
      select
        coalesce(refuses_token(users.refuse_tokens_until, ${issuedAt}), false)
          or (accounts.user_id is not null and not session_lives(${id}, ${sessionId}::uuid)) as is_refused,
        accounts.user_id is not null as has_account,
        accounts.email, accounts.name, users.created_at as known_since
      from (select ${id}::text as id) as caller
      left join users on users.id = caller.id
      left join accounts on accounts.user_id = caller.id`,
  )
}

/** @returns undefined if the caller has no account, or the session has ended */
export async function findPassword(sql: Sql, { id, sessionId }: Caller): Promise<PasswordRow | undefined> {
  const [account] = await sql<PasswordRow[]>`
    -- findPassword
    select user_id, email, password_hash from accounts
    where user_id = ${id} and session_lives(${id}, ${sessionId}::uuid)`
  return account
}

export interface AccountChange {
  /** undefined keeps it. */
  name: string | null | undefined
  /** undefined keeps it; a new one ends all other sessions. */
  email: string | undefined
  /** The hash with which the password was verified; null if it was not. */
  passwordHash: string | null
}

/** @returns undefined if the caller has no account, the session has ended, or the password has changed */
export async function updateAccount(
  sql: Sql,
  { id, sessionId }: Caller,
  { name, email, passwordHash }: AccountChange,
): Promise<UserRow | 'email taken' | undefined> {
  const changed = await sql<(UserRow & { ended: number | null })[]>`
    -- updateAccount
    with locked as (
      select user_id from accounts
      where user_id = ${id} and (${passwordHash}::text is null or password_hash = ${passwordHash})
      for no key update
    ), account as (
      update accounts set
        name = case when ${name !== undefined}::boolean then ${name ?? null} else name end,
        email = coalesce(${email ?? null}, email)
      from locked
      where accounts.user_id = locked.user_id and session_lives(locked.user_id, ${sessionId}::uuid)
      returning accounts.user_id, email, name
    )
    select users.id, account.email, account.name, users.created_at,
      case when ${email ?? null}::text is not null then end_sessions(account.user_id, ${sessionId}::uuid)::integer end as ended
    from account
    join users on users.id = account.user_id`.catch(ifTaken)
  if (changed === 'email taken') return changed
  const [row] = changed
  if (!row) return undefined
  const { ended: _, ...user } = row
  return user
}

function ifTaken(error: unknown): 'email taken' {
  const { constraint_name, code } = error as { constraint_name?: unknown; code?: unknown }
  // two users who change to each other's address are a deadlock, and PostgreSQL fails one of them
  if (constraint_name === 'accounts_email_key' || code === '40P01') return 'email taken'
  throw error
}

interface PasswordUpdate {
  /** The hash with which the current password was verified. */
  passwordHash: string
  nextPasswordHash: string
  /** Whether all tokens for programs end, too. */
  endTokens: boolean
}

/** Also ends all other sessions. @returns false if the password has changed or the session has ended meanwhile */
export async function updatePassword(
  sql: Sql,
  { id, sessionId }: Caller,
  { passwordHash, nextPasswordHash, endTokens }: PasswordUpdate,
): Promise<boolean> {
  const changed = await sql<{ ended: number | null }[]>`
    -- updatePassword
    with locked as (
      select user_id from accounts where user_id = ${id} and password_hash = ${passwordHash}
      for no key update
    ), account as (
      update accounts set password_hash = ${nextPasswordHash}
      from locked
      where accounts.user_id = locked.user_id and session_lives(locked.user_id, ${sessionId}::uuid)
      returning accounts.user_id
    ), ended_tokens as (
      delete from api_tokens using account
      where ${endTokens} and api_tokens.user_id = account.user_id
    )
    select end_sessions(user_id, ${sessionId}::uuid)::integer as ended from account`
  return changed.length > 0
}

/*
 * Foreign keys delete everything that belongs to a row of `users`. A new row takes its place, and refuses the tokens that
 * have not expired.
 */

/** Deletes an account and its user, for good. @returns false if the password has changed or the session has ended meanwhile */
export async function deleteAccount(
  sql: Sql,
  { id, sessionId }: Caller,
  passwordHash: string,
): Promise<boolean> {
  const deleted = await sql<{ id: string }[]>`
    -- deleteAccount
    with account as (
      select user_id from accounts where user_id = ${id} and password_hash = ${passwordHash} for update
    ), deleted as (
      delete from users using account
      where users.id = account.user_id and session_lives(account.user_id, ${sessionId}::uuid)
      returning users.id, users.revision
    )
    insert into users (id, revision, purged_revision, refuse_tokens_until)
    select id, revision + 1, revision + 1, 'infinity' from deleted
    returning id`
  return deleted.length > 0
}

/** Deletes a user without an account. @returns false if there is an account, or the user's first write came between */
export async function deleteUser(sql: Sql, { id, issuedAt }: Caller): Promise<boolean> {
  const deleted = await sql<{ id: string }[]>`
    -- deleteUser
    with deleted as (
      delete from users
      where id = ${id} and not refuses_token(refuse_tokens_until, ${issuedAt})
        and not exists (select from accounts where user_id = ${id})
      returning revision
    )
    -- also for a user without a row: their token must not be able to write later
    insert into users (id, revision, purged_revision, refuse_tokens_until)
    select ${id}, next, next, clock_timestamp()
    from (select coalesce((select revision from deleted), 0) + 1 as next) as revision
    on conflict (id) do nothing
    returning id`
  return deleted.length > 0
}

/** Reads the sessions that have not expired, the one that was used last first. */
export async function listSessions(sql: Sql, { id, sessionId }: Caller): Promise<Session[]> {
  const sessions = await sql<Session[]>`
    -- listSessions
    select id, created_at, last_used_at, user_agent,
      coalesce(id = ${sessionId}::uuid, false) as current
    from sessions
    where user_id = ${id} and expires_at > clock_timestamp()
    order by last_used_at desc, id`
  // Elysia would answer the driver's subclass of Array without our headers
  return [...sessions]
}

/** @returns false if the caller has no such session, or the caller's own has ended */
export async function endSession(sql: Sql, { id, sessionId }: Caller, endedId: string): Promise<boolean> {
  const ended = await sql<{ id: string }[]>`
    -- endSession
    with account as (
      select user_id from accounts where user_id = ${id} for no key update
    )
    delete from sessions using account
    where sessions.user_id = account.user_id and id = ${endedId}::uuid
      and session_lives(account.user_id, ${sessionId}::uuid)
    returning id`
  return ended.length > 0
}

/** Ends all sessions except the caller's. @returns false if the caller has no account, or the session has ended */
export async function endOtherSessions(sql: Sql, { id, sessionId }: Caller): Promise<boolean> {
  const accounts = await sql<{ ended: number | null }[]>`
    -- endOtherSessions
    with account as (
      select user_id from accounts where user_id = ${id} for no key update
    )
    select end_sessions(user_id, ${sessionId}::uuid)::integer as ended from account
    where session_lives(user_id, ${sessionId}::uuid)`
  return accounts.length > 0
}
