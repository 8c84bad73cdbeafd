-- migrate:up

-- A ticket opens one event stream in place of a token, because a browser's EventSource sends no headers. It has what the
-- token said, so that the stream ends when the token does. Making the foreign key holds up writes to `users` for a moment,
-- and no reads.
create table event_tickets (
  -- SHA-256. The ticket has 256 random bits: there is nothing that a slow hash could protect.
  ticket_hash bytea not null,
  user_id text not null,
  -- Seconds since 1970 as the token has them: they may have fractions, and be beyond what `timestamptz` can hold.
  issued_at double precision,
  token_expires_at double precision not null,
  session_id uuid,
  expires_at timestamptz(3) not null,
  constraint event_tickets_pkey primary key (ticket_hash),
  constraint event_tickets_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint event_tickets_ticket_hash_length check (octet_length(ticket_hash) = 32)
);

create index event_tickets_by_user on event_tickets (user_id);
create index event_tickets_by_expiry on event_tickets (expires_at);

comment on table event_tickets is 'Hashes of tickets for event streams, until they are used or expire';
comment on column event_tickets.session_id is 'The session that the token names, which need not be one of ours';

-- migrate:down

drop table event_tickets;
