-- Made by `bun run db:schema`. Do not edit: write a migration.
-- The newest migration: 20261201000001_create_event_tickets.sql

CREATE OR REPLACE FUNCTION public.email_key(email text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN NORMALIZE(upper((lower((NORMALIZE(email, NFC) COLLATE "und-x-icu")) COLLATE "und-x-icu")), NFC);

CREATE TABLE users (
  id text NOT NULL,
  revision bigint NOT NULL DEFAULT 0,
  created_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  refuse_tokens_until timestamp(3) with time zone,
  purged_revision bigint NOT NULL DEFAULT 0,
  CONSTRAINT users_pkey PRIMARY KEY (id),
  CONSTRAINT users_id_length CHECK (char_length(id) >= 1 AND char_length(id) <= 255),
  CONSTRAINT users_revision_positive CHECK (revision >= 0)
);

COMMENT ON TABLE public.users IS 'Who owns tasks; made by a subject''s first write';
COMMENT ON COLUMN public.users.purged_revision IS 'The newest revision among the tombstones that have been purged';
COMMENT ON COLUMN public.users.refuse_tokens_until IS 'When the user was deleted: tokens issued up to then are refused';
COMMENT ON COLUMN public.users.revision IS 'How many changes this user has made';

CREATE TABLE accounts (
  user_id text NOT NULL,
  email text NOT NULL,
  name text,
  password_hash text NOT NULL,
  CONSTRAINT accounts_pkey PRIMARY KEY (user_id),
  CONSTRAINT accounts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT accounts_email_length CHECK (char_length(email) >= 3 AND char_length(email) <= 254),
  CONSTRAINT accounts_name_length CHECK (char_length(name) >= 1 AND char_length(name) <= 100),
  CONSTRAINT accounts_password_hash_kind CHECK (password_hash ~ '^\$argon2(id|i|d)\$v=19\$m=[1-9]\d+,t=[1-9]\d*,p=[1-9]\d*\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$'::text OR password_hash ~ '^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$'::text)
);

CREATE UNIQUE INDEX accounts_email_key ON accounts USING btree (email_key(email));

COMMENT ON TABLE public.accounts IS 'Users who sign in here, with a password';

CREATE TABLE event_tickets (
  ticket_hash bytea NOT NULL,
  user_id text NOT NULL,
  issued_at double precision,
  token_expires_at double precision NOT NULL,
  session_id uuid,
  expires_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT event_tickets_pkey PRIMARY KEY (ticket_hash),
  CONSTRAINT event_tickets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT event_tickets_ticket_hash_length CHECK (octet_length(ticket_hash) = 32)
);

CREATE INDEX event_tickets_by_expiry ON event_tickets USING btree (expires_at);
CREATE INDEX event_tickets_by_user ON event_tickets USING btree (user_id);

COMMENT ON TABLE public.event_tickets IS 'Hashes of tickets for event streams, until they are used or expire';
COMMENT ON COLUMN public.event_tickets.session_id IS 'The session that the token names, which need not be one of ours';

CREATE TABLE idempotency_keys (
  user_id text NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  answer json NOT NULL,
  expires_at timestamp(3) with time zone NOT NULL DEFAULT (clock_timestamp() + '24:00:00'::interval),
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key),
  CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT idempotency_keys_fingerprint_length CHECK (octet_length(fingerprint) = 32),
  CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) >= 1 AND char_length(key) <= 255)
);

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys USING btree (expires_at);

COMMENT ON TABLE public.idempotency_keys IS 'Answers to be given again to the same request, for a day';

CREATE TABLE sessions (
  id uuid NOT NULL,
  user_id text NOT NULL,
  generation integer NOT NULL DEFAULT 1,
  rotated_at timestamp(3) with time zone,
  retried boolean NOT NULL DEFAULT false,
  created_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  last_used_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamp(3) with time zone NOT NULL DEFAULT (clock_timestamp() + '30 days'::interval),
  user_agent text,
  CONSTRAINT sessions_pkey PRIMARY KEY (id),
  CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES accounts(user_id) ON DELETE CASCADE,
  CONSTRAINT sessions_generation_positive CHECK (generation > 0),
  CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) <= 255)
);

CREATE INDEX sessions_by_expiry ON sessions USING btree (expires_at);
CREATE INDEX sessions_by_user ON sessions USING btree (user_id, last_used_at);

COMMENT ON TABLE public.sessions IS 'Where an account is signed in: families of refresh tokens';

CREATE TABLE refresh_tokens (
  token_hash bytea NOT NULL,
  session_id uuid NOT NULL,
  generation integer NOT NULL,
  expires_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash),
  CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE,
  CONSTRAINT refresh_tokens_token_hash_length CHECK (octet_length(token_hash) = 32)
);

CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens USING btree (expires_at);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens USING btree (session_id);

COMMENT ON TABLE public.refresh_tokens IS 'Hashes of refresh tokens, used ones too, until they expire';

CREATE TABLE tasks (
  user_id text NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  title text COLLATE "und-x-icu" NOT NULL,
  description text,
  completed boolean NOT NULL DEFAULT false,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL,
  revision bigint NOT NULL,
  deleted_at timestamp(3) with time zone,
  ended boolean NOT NULL DEFAULT false,
  CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id),
  CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT tasks_description_length CHECK (char_length(description) <= 1000),
  CONSTRAINT tasks_ended_is_tombstone CHECK (deleted_at IS NOT NULL OR NOT ended),
  CONSTRAINT tasks_revision_positive CHECK (revision > 0),
  CONSTRAINT tasks_title_length CHECK (char_length(title) >= 1 AND char_length(title) <= 200 OR ended AND title = ''::text)
);

CREATE INDEX tasks_by_deletion ON tasks USING btree (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX tasks_by_revision ON tasks USING btree (user_id, revision);
CREATE INDEX tasks_by_title ON tasks USING btree (user_id, lower(title), id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_in_trash ON tasks USING btree (user_id, revision) WHERE deleted_at IS NOT NULL AND NOT ended;
CREATE INDEX tasks_live ON tasks USING btree (user_id, id) INCLUDE (completed) WHERE deleted_at IS NULL;

COMMENT ON TABLE public.tasks IS 'Tasks and the tombstones of deleted ones';
COMMENT ON COLUMN public.tasks.deleted_at IS 'Set: a tombstone';
COMMENT ON COLUMN public.tasks.ended IS 'Deleted for good: the content is gone, the tombstone stays until it is purged';
COMMENT ON COLUMN public.tasks.revision IS 'users.revision when this row last changed';

CREATE OR REPLACE FUNCTION public.end_sessions(account_id text, kept_session_id uuid)
 RETURNS bigint
 LANGUAGE sql
BEGIN ATOMIC
 WITH ended AS (
          DELETE FROM sessions
           WHERE ((sessions.user_id = end_sessions.account_id) AND (sessions.id IS DISTINCT FROM end_sessions.kept_session_id))
           RETURNING sessions.id
         )
  SELECT count(*) AS count
    FROM ended;
END;

CREATE OR REPLACE FUNCTION public.refuses_token(refuse_tokens_until timestamp with time zone, issued_at double precision)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((refuse_tokens_until IS NOT NULL) AND COALESCE((to_timestamp(issued_at) <= refuse_tokens_until), true));

CREATE OR REPLACE FUNCTION public.rfc3339(moment timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE STRICT
RETURN to_char((moment AT TIME ZONE 'utc'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text);

CREATE OR REPLACE FUNCTION public.session_lives(account_id text, session_id uuid)
 RETURNS boolean
 LANGUAGE sql
RETURN ((session_id IS NULL) OR (EXISTS (SELECT FROM sessions WHERE ((sessions.user_id = session_lives.account_id) AND (sessions.id = session_lives.session_id)))));
