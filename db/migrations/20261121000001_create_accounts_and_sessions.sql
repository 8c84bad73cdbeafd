-- migrate:up

-- A deleted user leaves its row behind: without it, a token that is still valid would make the user anew. The row is
-- deleted and made again in one statement, so that the foreign keys' cascades take all else with it, also what another
-- connection has just added, and what a later table may hold.
alter table users
  -- Tokens issued up to this moment are refused; null: none are. 'infinity' for accounts, whose ids nobody gets again;
  -- a user of another issuer may come back, with a token of its own that is newer.
  add column refuse_tokens_until timestamptz(3);

-- Whether a token is one of those. One that does not say when it was issued may be as old as any.
create function refuses_token(refuse_tokens_until timestamptz, issued_at double precision) returns boolean
  language sql immutable parallel safe
  return refuse_tokens_until is not null and coalesce(to_timestamp(issued_at) <= refuse_tokens_until, true);

-- What makes two e-mail addresses the same: letters whatever their case, and characters however they were composed.
-- Upper case folds what lower case does not, such as ß and ss or ς and σ; lower case first folds the few that are left,
-- such as ẞ and ϴ; and a change of case may leave characters that compose.
create function email_key(email text) returns text
  language sql immutable strict parallel safe
  return normalize(upper(lower(normalize(email, nfc) collate "und-x-icu") collate "und-x-icu"), nfc);

create table accounts (
  user_id text not null,
  -- As it was given; `email_key` compares.
  email text not null,
  name text,
  password_hash text not null,
  constraint accounts_pkey primary key (user_id),
  constraint accounts_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint accounts_email_length check (char_length(email) between 3 and 254),
  constraint accounts_name_length check (char_length(name) between 1 and 100),
  -- What can be verified: argon2 as made here, bcrypt of users who were brought from elsewhere.
  constraint accounts_password_hash_kind check (
    password_hash ~
      '^\$argon2(id|i|d)\$v=19\$m=[1-9]\d+,t=[1-9]\d*,p=[1-9]\d*\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$'
    or password_hash ~ '^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$'
  )
);

create unique index accounts_email_key on accounts (email_key(email));

-- A session is a family of refresh tokens: each but the first was given for the one before. The family's state is in
-- this one row, so that the use of a token and the end of the session wait for each other.
create table sessions (
  id uuid not null,
  user_id text not null,
  -- That of the tokens that are good: used once, they make way for the next.
  generation integer not null default 1,
  -- When the generation before was used, and whether it has been used a second time since.
  rotated_at timestamptz(3),
  retried boolean not null default false,
  created_at timestamptz(3) not null default clock_timestamp(),
  last_used_at timestamptz(3) not null default clock_timestamp(),
  expires_at timestamptz(3) not null default clock_timestamp() + interval '30 days',
  user_agent text,
  constraint sessions_pkey primary key (id),
  constraint sessions_user_id_fkey foreign key (user_id) references accounts (user_id) on delete cascade,
  constraint sessions_generation_positive check (generation > 0),
  constraint sessions_user_agent_length check (char_length(user_agent) <= 255)
);

create index sessions_by_user on sessions (user_id, last_used_at);
create index sessions_by_expiry on sessions (expires_at);

-- Both are volatile: they look at what is there when they are called, so that a statement which has waited for the
-- account's row sees what the statements before it have done. A statement that makes or ends a session, or checks one
-- before a change, locks that row first.

-- Whether a caller's session goes on. A token that names none comes from somebody who shares the secret.
create function session_lives(account_id text, session_id uuid) returns boolean
  language sql volatile
  return session_id is null or exists (select from sessions where user_id = account_id and id = session_id);

-- Ends all sessions of an account but one.
create function end_sessions(account_id text, kept_session_id uuid) returns bigint
  language sql volatile
begin atomic
  with ended as (
    delete from sessions where user_id = account_id and id is distinct from kept_session_id returning id
  )
  select count(*) from ended;
end;

-- Never changed once made. Used ones stay until they would have expired: one that comes back was stolen, or its
-- successor was.
create table refresh_tokens (
  -- SHA-256. The token has 256 random bits: there is nothing that a slow hash could protect.
  token_hash bytea not null,
  session_id uuid not null,
  generation integer not null,
  expires_at timestamptz(3) not null,
  constraint refresh_tokens_pkey primary key (token_hash),
  constraint refresh_tokens_session_id_fkey foreign key (session_id) references sessions (id) on delete cascade,
  constraint refresh_tokens_token_hash_length check (octet_length(token_hash) = 32)
);

create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_by_expiry on refresh_tokens (expires_at);

comment on column users.refuse_tokens_until is 'When the user was deleted: tokens issued up to then are refused';
comment on table accounts is 'Users who sign in here, with a password';
comment on table sessions is 'Where an account is signed in: families of refresh tokens';
comment on table refresh_tokens is 'Hashes of refresh tokens, used ones too, until they expire';

-- migrate:down

drop table refresh_tokens;
drop function end_sessions(text, uuid);
drop function session_lives(text, uuid);
drop table sessions;
drop table accounts;
drop function email_key(text);
drop function refuses_token(timestamptz, double precision);
alter table users drop column refuse_tokens_until;
