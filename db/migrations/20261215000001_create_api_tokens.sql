-- migrate:up

-- Tokens that users make for their programs. Making the foreign keys holds up writes to `users` for a moment. Adding the
-- column locks `event_tickets`, which only tickets use.
create table api_tokens (
  user_id text not null,
  id bigint generated always as identity,
  name text not null,
  scopes text[] not null,
  -- SHA-256. The token has 160 random bits: there is nothing that a slow hash could protect.
  token_hash bytea not null,
  last_four text not null,
  created_at timestamptz(3) not null,
  -- Null: it does not expire.
  expires_at timestamptz(3),
  -- Not newer than ten minutes before the last use, so that reading with a token seldom writes.
  last_used_at timestamptz(3),
  constraint api_tokens_pkey primary key (user_id, id),
  constraint api_tokens_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint api_tokens_name_length check (char_length(name) between 1 and 100),
  constraint api_tokens_scopes_known check (
    cardinality(scopes) > 0 and scopes <@ array['tasks:read', 'tasks:write']
  ),
  constraint api_tokens_token_hash_length check (octet_length(token_hash) = 32),
  constraint api_tokens_last_four_length check (char_length(last_four) = 4)
);

create unique index api_tokens_by_hash on api_tokens (token_hash);
create index api_tokens_by_expiry on api_tokens (expires_at);

-- Both are volatile: they look at what is there when they are called, so that a statement which has waited for the user's row
-- sees what the statements before it have done.

-- How many tokens of a user are good.
create function count_api_tokens(owner text) returns bigint
  language sql volatile
  return (
    select count(*) from api_tokens where user_id = owner and (expires_at is null or expires_at > clock_timestamp())
  );

-- Whether a JWT still stands for its user: the user was not deleted since, and the session, if it is one of ours, goes on.
create function caller_lives(owner text, issued_at double precision, session_id uuid) returns boolean
  language sql volatile
  return not exists (select from users where id = owner and refuses_token(refuse_tokens_until, issued_at))
    and (session_lives(owner, session_id) or not exists (select from accounts where user_id = owner));

-- A ticket, and the stream that it opens, end with the token that it was made with.
alter table event_tickets
  add column token_id bigint,
  add constraint event_tickets_token_id_fkey foreign key (user_id, token_id) references api_tokens (user_id, id) on delete cascade;

comment on table api_tokens is 'Tokens that users have made for their programs: hashes, and what users know them by';
comment on column event_tickets.token_id is 'The API token that the ticket was made with; null: it was a JWT';

-- migrate:down

alter table event_tickets drop column token_id;
drop function caller_lives(text, double precision, uuid);
drop function count_api_tokens(text);
drop table api_tokens;
