-- Made by `bun run db:schema`. Do not edit: write a migration.
-- The newest migration: 20261216000001_create_conversations.sql

SET check_function_bodies = off;

CREATE TYPE repeat_anchor AS ENUM ('due', 'completion');

CREATE TYPE task_priority AS ENUM ('high', 'medium', 'low');

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

CREATE TABLE api_tokens (
  user_id text NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL,
  scopes text[] NOT NULL,
  token_hash bytea NOT NULL,
  last_four text NOT NULL,
  created_at timestamp(3) with time zone NOT NULL,
  expires_at timestamp(3) with time zone,
  last_used_at timestamp(3) with time zone,
  CONSTRAINT api_tokens_pkey PRIMARY KEY (user_id, id),
  CONSTRAINT api_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT api_tokens_last_four_length CHECK (char_length(last_four) = 4),
  CONSTRAINT api_tokens_name_length CHECK (char_length(name) >= 1 AND char_length(name) <= 100),
  CONSTRAINT api_tokens_scopes_known CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['tasks:read'::text, 'tasks:write'::text]),
  CONSTRAINT api_tokens_token_hash_length CHECK (octet_length(token_hash) = 32)
);

CREATE INDEX api_tokens_by_expiry ON api_tokens USING btree (expires_at);
CREATE UNIQUE INDEX api_tokens_by_hash ON api_tokens USING btree (token_hash);

COMMENT ON TABLE public.api_tokens IS 'Tokens that users have made for their programs: hashes, and what users know them by';

CREATE TABLE conversations (
  user_id text NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  created_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  lease uuid,
  leased_until timestamp(3) with time zone,
  CONSTRAINT conversations_pkey PRIMARY KEY (user_id, id),
  CONSTRAINT conversations_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

COMMENT ON TABLE public.conversations IS 'Conversations of users with the assistant';

CREATE TABLE event_tickets (
  ticket_hash bytea NOT NULL,
  user_id text NOT NULL,
  issued_at double precision,
  token_expires_at double precision NOT NULL,
  session_id uuid,
  expires_at timestamp(3) with time zone NOT NULL,
  token_id bigint,
  CONSTRAINT event_tickets_pkey PRIMARY KEY (ticket_hash),
  CONSTRAINT event_tickets_token_id_fkey FOREIGN KEY (user_id, token_id) REFERENCES api_tokens(user_id, id) ON DELETE CASCADE,
  CONSTRAINT event_tickets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT event_tickets_ticket_hash_length CHECK (octet_length(ticket_hash) = 32)
);

CREATE INDEX event_tickets_by_expiry ON event_tickets USING btree (expires_at);
CREATE INDEX event_tickets_by_user ON event_tickets USING btree (user_id);

COMMENT ON TABLE public.event_tickets IS 'Hashes of tickets for event streams, until they are used or expire';
COMMENT ON COLUMN public.event_tickets.session_id IS 'The session that the token names, which need not be one of ours';
COMMENT ON COLUMN public.event_tickets.token_id IS 'The API token that the ticket was made with; null: it was a JWT';

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

CREATE TABLE lists (
  user_id text NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL,
  color text,
  "position" text COLLATE "C",
  archived boolean NOT NULL DEFAULT false,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL,
  revision bigint NOT NULL,
  CONSTRAINT lists_pkey PRIMARY KEY (user_id, id),
  CONSTRAINT lists_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT lists_color_is_rgb CHECK (color ~ '^#[0-9a-fA-F]{6}$'::text),
  CONSTRAINT lists_name_length CHECK (char_length(name) >= 1 AND char_length(name) <= 100),
  CONSTRAINT lists_position_length CHECK (char_length("position") >= 1 AND char_length("position") <= 1000),
  CONSTRAINT lists_revision_positive CHECK (revision > 0)
);

COMMENT ON TABLE public.lists IS 'Lists of tasks';
COMMENT ON COLUMN public.lists."position" IS 'Where the user has put the list; null: by its id';

CREATE TABLE messages (
  user_id text NOT NULL,
  conversation_id bigint NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  role text NOT NULL,
  content text NOT NULL,
  reply_to bigint,
  tool_calls json,
  created_at timestamp(3) with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT messages_pkey PRIMARY KEY (user_id, conversation_id, id),
  CONSTRAINT messages_reply_to_key UNIQUE (user_id, reply_to, conversation_id),
  CONSTRAINT messages_conversation_id_fkey FOREIGN KEY (user_id, conversation_id) REFERENCES conversations(user_id, id) ON DELETE CASCADE,
  CONSTRAINT messages_answers_reply CHECK ((role = 'assistant'::text) = (reply_to IS NOT NULL)),
  CONSTRAINT messages_role_known CHECK (role = ANY (ARRAY['user'::text, 'assistant'::text])),
  CONSTRAINT messages_user_content_length CHECK (role <> 'user'::text OR char_length(content) >= 1 AND char_length(content) <= 4000)
);

COMMENT ON TABLE public.messages IS 'What users have said, and what the assistant has answered';

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

CREATE OR REPLACE FUNCTION public.tag_key(name text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN NORMALIZE(upper((lower((NORMALIZE(name, NFC) COLLATE "und-x-icu")) COLLATE "und-x-icu")), NFC);

CREATE TABLE task_tags (
  user_id text NOT NULL,
  key text COLLATE "C" NOT NULL,
  task_id bigint NOT NULL,
  name text NOT NULL,
  CONSTRAINT task_tags_pkey PRIMARY KEY (user_id, key, task_id),
  CONSTRAINT task_tags_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT task_tags_key_is_of_name CHECK (key = tag_key(name)),
  CONSTRAINT task_tags_name_has_no_comma CHECK (name !~ ','::text),
  CONSTRAINT task_tags_name_length CHECK (char_length(name) >= 1 AND char_length(name) <= 50)
);

CREATE INDEX task_tags_by_task ON task_tags USING btree (task_id);

COMMENT ON TABLE public.task_tags IS 'Which tasks have a tag, those in the trash too';

CREATE OR REPLACE FUNCTION public.complete_task_row()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  -- most new tasks are plain
  if tg_op = 'INSERT' and not (new.completed or new.ended)
    and octet_length(concat(new.title, new.description)) = char_length(concat(new.title, new.description))
  then
    return new;
  end if;
  if new.ended then
    new.title := '';
    new.description := null;
    new.completed_at := null;
    new.priority := null;
    new.due_date := null;
    new.due_time := null;
    new.time_zone := null;
    new.due_at := null;
    new.overdue_at := null;
    new.reminders := null;
    new.remind_at := null;
    new.repeat := null;
    new.repeat_from := null;
    new.next_id := null;
    new.tags := null;
    new.list_id := null;
    new.parent_id := null;
    new.position := null;
    new.folded := null;
    return new;
  end if;
  if not new.completed then
    new.completed_at := null;
  elsif old.completed is not true then
    new.completed_at := coalesce(new.completed_at, new.updated_at);
  end if;
  if new.title is distinct from old.title or new.description is distinct from old.description then
    new.folded := case
      when octet_length(new.title) <> char_length(new.title)
        or octet_length(new.description) <> char_length(new.description)
      then fold(concat_ws(e'\n', new.title, new.description))
    end;
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.due_date_is_complete(due_date date, overdue_at timestamp with time zone, due_time time without time zone, due_at timestamp with time zone, repeat character varying, reminders integer[], time_zone character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
begin
  if due_date is null then
    return num_nonnulls(overdue_at, due_time, due_at, repeat, reminders) = 0;
  end if;
  return due_date between '1900-01-01' and '9999-12-31'
    and overdue_at is not null
    and (due_at is null) = (due_time is null)
    and (time_zone is not null or num_nonnulls(due_time, reminders) = 0);
end $function$;

CREATE OR REPLACE FUNCTION public.forget_tasks()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  delete from told_reminders using gone
  where told_reminders.user_id = gone.user_id and told_reminders.task_id = gone.id;
  delete from task_tags using gone
  where gone.tags is not null and task_tags.user_id = gone.user_id and task_tags.task_id = gone.id;
  update tasks set parent_id = null from gone
  where gone.has_steps and tasks.user_id = gone.user_id and tasks.parent_id = gone.id;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.link_task()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if new.parent_id is not null
    and not exists (select from tasks where user_id = new.user_id and id = new.parent_id and id <> new.id)
  then
    raise foreign_key_violation using constraint = 'tasks_parent_id_exists', message = 'The parent does not exist';
  end if;
  -- A statement that writes a tag of many tasks writes `task_tags` itself, in one go, and says so with this setting, which ends
  -- with its transaction. Row by row it would take several times as long as all the rest.
  if new.tags is not distinct from old.tags or current_setting('taskwell.writes_task_tags', true) = 'on' then
    return null;
  end if;
  delete from task_tags where user_id = new.user_id and task_id = new.id;
  insert into task_tags (user_id, key, task_id, name)
  select new.user_id, tag_key(name), new.id, name from unnest(new.tags) as name;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.reminders_are_allowed(minutes integer[], remind_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
begin
  if minutes is null then
    return remind_at is null;
  end if;
  return cardinality(minutes) between 1 and 5
    and array_position(minutes, null) is null
    and -1440 <= all (minutes) and 40320 >= all (minutes);
end $function$;

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
  completed_at timestamp(3) with time zone,
  priority task_priority,
  due_date date,
  due_time time(0) without time zone,
  time_zone character varying(100),
  due_at timestamp(3) with time zone,
  overdue_at timestamp(3) with time zone,
  reminders integer[],
  remind_at timestamp(3) with time zone,
  repeat character varying(200),
  repeat_from repeat_anchor,
  next_id bigint,
  tags text[],
  list_id bigint,
  parent_id bigint,
  has_steps boolean NOT NULL DEFAULT false,
  deleted_with_parent boolean NOT NULL DEFAULT false,
  "position" character varying(1000) COLLATE "C",
  folded text,
  CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id),
  CONSTRAINT tasks_list_id_fkey FOREIGN KEY (user_id, list_id) REFERENCES lists(user_id, id) ON DELETE SET NULL (list_id),
  CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT tasks_description_length CHECK (char_length(description) <= 1000),
  CONSTRAINT tasks_due_date_and_what_needs_it CHECK (due_date_is_complete(due_date, overdue_at, due_time, due_at, repeat, reminders, time_zone)),
  CONSTRAINT tasks_ended_has_no_content CHECK (NOT ended OR title = ''::text AND num_nonnulls(description, completed_at, priority, due_date, time_zone, repeat_from, next_id, tags, list_id, parent_id, "position", folded) = 0),
  CONSTRAINT tasks_ended_is_tombstone CHECK (deleted_at IS NOT NULL OR NOT ended),
  CONSTRAINT tasks_reminders_allowed CHECK (reminders_are_allowed(reminders, remind_at)),
  CONSTRAINT tasks_revision_positive CHECK (revision > 0),
  CONSTRAINT tasks_tags_count CHECK (cardinality(tags) <= 20),
  CONSTRAINT tasks_title_length CHECK (char_length(title) >= 1 AND char_length(title) <= 200 OR ended AND title = ''::text)
);

CREATE INDEX tasks_by_deletion ON tasks USING btree (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX tasks_by_list ON tasks USING btree (user_id, list_id, id) WHERE list_id IS NOT NULL;
CREATE INDEX tasks_by_parent ON tasks USING btree (user_id, parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_by_position ON tasks USING btree (user_id, "position") WHERE "position" IS NOT NULL;
CREATE INDEX tasks_by_reminder ON tasks USING btree (remind_at) WHERE remind_at IS NOT NULL;
CREATE INDEX tasks_by_revision ON tasks USING btree (user_id, revision);
CREATE INDEX tasks_by_title ON tasks USING btree (user_id, lower(title), id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_in_trash ON tasks USING btree (user_id, revision) WHERE deleted_at IS NOT NULL AND NOT ended;
CREATE INDEX tasks_live ON tasks USING btree (user_id, id) INCLUDE (completed) WHERE deleted_at IS NULL;

CREATE TRIGGER tasks_complete BEFORE INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION complete_task_row();
CREATE TRIGGER tasks_forget AFTER DELETE ON tasks REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_tasks();
CREATE TRIGGER tasks_link_changed AFTER UPDATE ON tasks FOR EACH ROW WHEN (new.tags IS DISTINCT FROM old.tags OR new.parent_id IS DISTINCT FROM old.parent_id) EXECUTE FUNCTION link_task();
CREATE TRIGGER tasks_link_new AFTER INSERT ON tasks FOR EACH ROW WHEN (new.tags IS NOT NULL OR new.parent_id IS NOT NULL) EXECUTE FUNCTION link_task();

COMMENT ON TABLE public.tasks IS 'Tasks and the tombstones of deleted ones';
COMMENT ON COLUMN public.tasks."position" IS 'Where the user has put the task; null: by its id';
COMMENT ON COLUMN public.tasks.deleted_at IS 'Set: a tombstone';
COMMENT ON COLUMN public.tasks.deleted_with_parent IS 'Deleted because its parent was: it comes back with the parent';
COMMENT ON COLUMN public.tasks.ended IS 'Deleted for good: the content is gone, the tombstone stays until it is purged';
COMMENT ON COLUMN public.tasks.folded IS 'Title and description for searches; null: they are plain ASCII';
COMMENT ON COLUMN public.tasks.has_steps IS 'It has or had steps, so a deletion has to look for them';
COMMENT ON COLUMN public.tasks.next_id IS 'The task that followed this one when it was completed';
COMMENT ON COLUMN public.tasks.overdue_at IS 'due_at, or the end of due_date in the time zone (UTC without one)';
COMMENT ON COLUMN public.tasks.remind_at IS 'When the next reminder falls due';
COMMENT ON COLUMN public.tasks.revision IS 'users.revision when this row last changed';

CREATE TABLE told_reminders (
  user_id text NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  task_id bigint NOT NULL,
  due_at timestamp(3) with time zone NOT NULL,
  minutes integer NOT NULL,
  told_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  CONSTRAINT told_reminders_pkey PRIMARY KEY (user_id, id),
  CONSTRAINT told_reminders_told_once UNIQUE (user_id, task_id, due_at, minutes)
);

CREATE INDEX told_reminders_by_age ON told_reminders USING btree (told_at);
CREATE INDEX told_reminders_by_id ON told_reminders USING btree (id);

COMMENT ON TABLE public.told_reminders IS 'Reminders that have fallen due, for a day';
COMMENT ON COLUMN public.told_reminders.due_at IS 'The task''s due moment; of a day without a time, its beginning';
COMMENT ON COLUMN public.told_reminders.minutes IS 'How long before the due moment the reminder fell due';

CREATE OR REPLACE FUNCTION public.refuses_token(refuse_tokens_until timestamp with time zone, issued_at double precision)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((refuse_tokens_until IS NOT NULL) AND COALESCE((to_timestamp(issued_at) <= refuse_tokens_until), true));

CREATE OR REPLACE FUNCTION public.session_lives(account_id text, session_id uuid)
 RETURNS boolean
 LANGUAGE sql
RETURN ((session_id IS NULL) OR (EXISTS (SELECT FROM sessions WHERE ((sessions.user_id = session_lives.account_id) AND (sessions.id = session_lives.session_id)))));

CREATE OR REPLACE FUNCTION public.caller_lives(owner text, issued_at double precision, session_id uuid)
 RETURNS boolean
 LANGUAGE sql
RETURN ((NOT (EXISTS (SELECT FROM users WHERE ((users.id = caller_lives.owner) AND refuses_token(users.refuse_tokens_until, caller_lives.issued_at))))) AND (session_lives(owner, session_id) OR (NOT (EXISTS (SELECT FROM accounts WHERE (accounts.user_id = caller_lives.owner))))));

CREATE OR REPLACE FUNCTION public.count_api_tokens(owner text)
 RETURNS bigint
 LANGUAGE sql
RETURN (SELECT count(*) AS count FROM api_tokens WHERE ((api_tokens.user_id = count_api_tokens.owner) AND ((api_tokens.expires_at IS NULL) OR (api_tokens.expires_at > clock_timestamp()))));

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

CREATE OR REPLACE FUNCTION public.find_tasks(owner text, filter json)
 RETURNS SETOF tasks
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select tasks.*
  from (
    select *, array(
      select '%' || regexp_replace(fold(word), '([\\%_])', '\\\1', 'g') || '%' from unnest(words) as word
    ) as patterns, array(
      -- all tasks of a user have the same spelling of a tag
      select coalesce(
        -- ordered, so that the planner takes the index even if it expects many
        (select name from task_tags where user_id = owner and key = tag_key(tag) order by user_id, key, task_id limit 1),
        tag
      )
      from unnest(tags) as tag
    ) as spelled
    from json_to_record(filter) as given (
      completed boolean, priorities text[], tags text[], list_id bigint, in_inbox boolean, parent_id bigint,
      is_no_step boolean, due_from date, due_to date, has_due_date boolean, overdue boolean, updated_from timestamptz,
      words text[]
    )
    -- so that this is worked out once, and not for each task
    offset 0
  ) as wanted
  join tasks on tasks.user_id = owner and tasks.deleted_at is null
  where (wanted.completed is null or tasks.completed = wanted.completed)
    and (wanted.priorities is null or coalesce(tasks.priority::text, 'none') = any (wanted.priorities))
    and (wanted.tags is null or tasks.tags @> wanted.spelled)
    and (wanted.list_id is null or tasks.list_id = wanted.list_id)
    and (wanted.in_inbox is null or tasks.list_id is null)
    and (wanted.parent_id is null or tasks.parent_id = wanted.parent_id)
    and (wanted.is_no_step is null or tasks.parent_id is null)
    and (wanted.due_from is null or tasks.due_date >= wanted.due_from)
    and (wanted.due_to is null or tasks.due_date <= wanted.due_to)
    and (wanted.has_due_date is null or (tasks.due_date is not null) = wanted.has_due_date)
    and (wanted.overdue is null
      or wanted.overdue = (not tasks.completed and tasks.overdue_at is not null and tasks.overdue_at <= now()))
    and (wanted.updated_from is null or tasks.updated_at >= wanted.updated_from)
    and (wanted.words is null or coalesce(
      tasks.folded, lower(concat_ws(e'\n', tasks.title, tasks.description) collate "C")
    ) like all (wanted.patterns))
$function$;

CREATE OR REPLACE FUNCTION public.fold(content text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN NORMALIZE(replace(replace(replace(translate(lower((regexp_replace((NORMALIZE(content, NFKD) COLLATE "C"), '[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f]+'::text, ''::text, 'g'::text) COLLATE "und-x-icu")), 'ςıøđłħŧ'::text, 'σiodlht'::text), 'ß'::text, 'ss'::text), 'æ'::text, 'ae'::text), 'œ'::text, 'oe'::text), NFC);

CREATE OR REPLACE FUNCTION public.position_of("position" text, id bigint)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN COALESCE("position", (('p'::text || lpad((id)::text, 16, '0'::text)) COLLATE "C"));

CREATE OR REPLACE FUNCTION public.rfc3339(moment timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE STRICT
RETURN to_char((moment AT TIME ZONE 'utc'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text);
