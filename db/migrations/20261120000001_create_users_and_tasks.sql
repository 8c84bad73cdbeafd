-- migrate:up

-- The one text that a time has in every answer: RFC 3339, UTC, milliseconds. `stable`, as `to_char` is, so that
-- PostgreSQL can inline it.
create function rfc3339(moment timestamptz) returns text
  language sql stable strict parallel safe
  return to_char(moment at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

create table users (
  -- The subject of the user's tokens. Text, because the issuer chooses it: a UUID here, 32 letters there, "1" elsewhere.
  id text not null,
  -- Counts this user's changes. Every write raises it in its own statement and stamps the row that it changed, so the
  -- row lock makes the order of commits and the order of revisions the same.
  revision bigint not null default 0,
  created_at timestamptz(3) not null default clock_timestamp(),
  constraint users_pkey primary key (id),
  constraint users_id_length check (char_length(id) between 1 and 255),
  constraint users_revision_positive check (revision >= 0)
);

create table tasks (
  user_id text not null,
  id bigint generated always as identity,
  -- ICU's root collation names no language; with it `lower` knows every script, whatever the database's own locale.
  title text collate "und-x-icu" not null,
  description text,
  completed boolean not null default false,
  created_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  -- The owner's revision as of this row's last change.
  revision bigint not null,
  -- A deleted task stays as a tombstone, so that other devices can learn of its end.
  deleted_at timestamptz(3),
  -- The owner first: this one index finds a task and walks a user's tasks from the newest, and a statement that
  -- forgets the owner cannot use it.
  constraint tasks_pkey primary key (user_id, id),
  constraint tasks_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint tasks_title_length check (char_length(title) between 1 and 200),
  constraint tasks_description_length check (char_length(description) <= 1000),
  constraint tasks_revision_positive check (revision > 0)
);

-- For the list by title. It leaves out tombstones, which no list by title shows.
create index tasks_by_title on tasks (user_id, lower(title), id) where deleted_at is null;

comment on table users is 'Who owns tasks; made by a subject''s first write';
comment on column users.revision is 'How many changes this user has made';
comment on table tasks is 'Tasks and the tombstones of deleted ones';
comment on column tasks.revision is 'users.revision when this row last changed';
comment on column tasks.deleted_at is 'Set: a tombstone';

-- migrate:down

drop table tasks;
drop table users;
drop function rfc3339(timestamptz);
