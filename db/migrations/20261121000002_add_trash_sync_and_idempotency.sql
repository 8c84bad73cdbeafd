-- migrate:up

-- Tombstones are purged after some weeks. Who has seen this user's changes only up to here has missed some of them.
alter table users
  add column purged_revision bigint not null default 0;

alter table tasks
  -- Ended for good: nothing of it is left but the tombstone, and the trash does not show it.
  add column ended boolean not null default false,
  drop constraint tasks_title_length,
  add constraint tasks_title_length check (char_length(title) between 1 and 200 or ended and title = ''),
  add constraint tasks_ended_is_tombstone check (deleted_at is not null or not ended);

-- For changes in their order. All that happens to a task gives it a new revision.
create index tasks_by_revision on tasks (user_id, revision);
-- For the trash. A deletion is the last that happens to a task, so the newest revision is the newest deletion.
create index tasks_in_trash on tasks (user_id, revision) where deleted_at is not null and not ended;
-- For the purge, which asks for nobody in particular.
create index tasks_by_deletion on tasks (deleted_at) where deleted_at is not null;

-- Answers to requests that may come again because the first answer was lost.
create table idempotency_keys (
  user_id text not null,
  key text not null,
  -- SHA-256 of method, path and body: the same key on another request is an error of the client's.
  fingerprint bytea not null,
  -- The body of the answer; `json`, because it keeps the order of its fields.
  answer json not null,
  expires_at timestamptz(3) not null default clock_timestamp() + interval '24 hours',
  constraint idempotency_keys_pkey primary key (user_id, key),
  constraint idempotency_keys_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
  constraint idempotency_keys_fingerprint_length check (octet_length(fingerprint) = 32)
);

create index idempotency_keys_by_expiry on idempotency_keys (expires_at);

comment on column users.purged_revision is 'The newest revision among the tombstones that have been purged';
comment on column tasks.ended is 'Deleted for good: the content is gone, the tombstone stays until it is purged';
comment on table idempotency_keys is 'Answers to be given again to the same request, for a day';

-- migrate:down

drop table idempotency_keys;
drop index tasks_by_deletion;
drop index tasks_in_trash;
drop index tasks_by_revision;
delete from tasks where ended;
alter table tasks
  drop constraint tasks_ended_is_tombstone,
  drop constraint tasks_title_length,
  add constraint tasks_title_length check (char_length(title) between 1 and 200),
  drop column ended;
alter table users drop column purged_revision;
