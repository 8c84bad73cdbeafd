-- migrate:up

-- In the order in which prepared writes lock them; otherwise this and a write could wait for each other.
lock table tasks in access exclusive mode;
lock table users in share row exclusive mode;

-- Lists sort tasks into drawers: a task is in one of them, or in none (the inbox).
create table lists (
  user_id text not null,
  id bigint generated always as identity,
  name text not null,
  color text,
  -- Null until the list is moved: see tasks.position.
  position text collate "C",
  archived boolean not null default false,
  created_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  -- The owner's revision as of this row's last change.
  revision bigint not null,
  constraint lists_pkey primary key (user_id, id),
  constraint lists_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint lists_name_length check (char_length(name) between 1 and 100),
  constraint lists_color_is_rgb check (color ~ '^#[0-9a-fA-F]{6}$'),
  constraint lists_position_length check (char_length(position) between 1 and 1000),
  constraint lists_revision_positive check (revision > 0)
);

comment on table lists is 'Lists of tasks';
comment on column lists.position is 'Where the user has put the list; null: by its id';

create type task_priority as enum ('high', 'medium', 'low');
create type repeat_anchor as enum ('due', 'completion');

-- No column has a default that PostgreSQL would have to write into each row, so this takes milliseconds. What would have to
-- read each row is left to the next migrations. A field whose default is not null is null in a row that has the default.
alter table tasks
  add column completed_at timestamptz(3),
  add column priority task_priority,
  add column due_date date,
  add column due_time time(0),
  add column time_zone varchar(100),
  -- Worked out from the three by the service, which knows what a clock does when it is put forward or back.
  add column due_at timestamptz(3),
  add column overdue_at timestamptz(3),
  add column reminders integer[],
  add column remind_at timestamptz(3),
  add column repeat varchar(200),
  add column repeat_from repeat_anchor,
  add column next_id bigint,
  add column tags text[],
  add column list_id bigint,
  add column parent_id bigint,
  add column has_steps boolean not null default false,
  add column deleted_with_parent boolean not null default false,
  -- Bytes in order. Null until the task is moved: then its id is its position, so that a new task comes last, and costs nothing.
  add column position varchar(1000) collate "C",
  -- Title and description as searches compare them; null if they are plain ASCII, which is quick to fold.
  add column folded text;

-- What two constraints of tasks say. In functions, because PostgreSQL reads the text of a constraint anew for each statement that
-- writes; with all of it written out, a create took a quarter longer. In PL/pgSQL, because a function of SQL would be written into
-- the statement.
create function due_date_is_complete(
  due_date date, overdue_at timestamptz, due_time time, due_at timestamptz, repeat varchar, reminders integer[], time_zone varchar
) returns boolean
  language plpgsql immutable parallel safe
as $$
begin
  if due_date is null then
    return num_nonnulls(overdue_at, due_time, due_at, repeat, reminders) = 0;
  end if;
  return due_date between '1900-01-01' and '9999-12-31'
    and overdue_at is not null
    and (due_at is null) = (due_time is null)
    and (time_zone is not null or num_nonnulls(due_time, reminders) = 0);
end $$;

create function reminders_are_allowed(minutes integer[], remind_at timestamptz) returns boolean
  language plpgsql immutable parallel safe
as $$
begin
  if minutes is null then
    return remind_at is null;
  end if;
  return cardinality(minutes) between 1 and 5
    and array_position(minutes, null) is null
    and -1440 <= all (minutes) and 40320 >= all (minutes);
end $$;

alter table tasks
  add constraint tasks_due_date_and_what_needs_it check (
    due_date_is_complete(due_date, overdue_at, due_time, due_at, repeat, reminders, time_zone)
  ) not valid,
  add constraint tasks_reminders_allowed check (reminders_are_allowed(reminders, remind_at)) not valid,
  add constraint tasks_tags_count check (cardinality(tags) <= 20) not valid,
  -- without a due date there is nothing that needs one
  add constraint tasks_ended_has_no_content check (
    not ended or title = '' and num_nonnulls(
      description, completed_at, priority, due_date, time_zone, repeat_from, next_id, tags, list_id, parent_id, position, folded
    ) = 0
  ) not valid,
  add constraint tasks_list_id_fkey foreign key (user_id, list_id) references lists (user_id, id)
    on delete set null (list_id) not valid;

comment on column tasks.overdue_at is 'due_at, or the end of due_date in the time zone (UTC without one)';
comment on column tasks.remind_at is 'When the next reminder falls due';
comment on column tasks.next_id is 'The task that followed this one when it was completed';
comment on column tasks.has_steps is 'It has or had steps, so a deletion has to look for them';
comment on column tasks.deleted_with_parent is 'Deleted because its parent was: it comes back with the parent';
comment on column tasks.position is 'Where the user has put the task; null: by its id';
comment on column tasks.folded is 'Title and description for searches; null: they are plain ASCII';

-- Names of tags differ if they differ when case is ignored.
create function tag_key(name text) returns text
  language sql immutable strict parallel safe
  return normalize(upper(lower(normalize(name, nfc) collate "und-x-icu") collate "und-x-icu"), nfc);

-- Finds the tasks of a tag; `tasks.tags` is what is written and answered. A trigger keeps both the same.
create table task_tags (
  user_id text not null,
  key text collate "C" not null,
  task_id bigint not null,
  name text not null,
  constraint task_tags_pkey primary key (user_id, key, task_id),
  constraint task_tags_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint task_tags_name_length check (char_length(name) between 1 and 50),
  constraint task_tags_name_has_no_comma check (name !~ ','),
  constraint task_tags_key_is_of_name check (key = tag_key(name))
);

-- For the triggers. Without the owner, so that it is not taken for a look-up by name.
create index task_tags_by_task on task_tags (task_id);

comment on table task_tags is 'Which tasks have a tag, those in the trash too';

-- Keeps the two links of a task: to its tags, and to its parent, which is the other half of the foreign key that there is not.
create function link_task() returns trigger language plpgsql as $$
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
end $$;

-- What belongs to tasks that are deleted, all at once. Foreign keys would look for it task by task, also for tasks that have
-- none; a user with 50,000 tasks then took thirty times as long to delete.
create function forget_tasks() returns trigger language plpgsql as $$
begin
  delete from task_tags using gone
  where gone.tags is not null and task_tags.user_id = gone.user_id and task_tags.task_id = gone.id;
  update tasks set parent_id = null from gone
  where gone.has_steps and tasks.user_id = gone.user_id and tasks.parent_id = gone.id;
  return null;
end $$;

create trigger tasks_forget after delete on tasks
  referencing old table as gone for each statement execute function forget_tasks();

create trigger tasks_link_new after insert on tasks
  for each row when (new.tags is not null or new.parent_id is not null) execute function link_task();
create trigger tasks_link_changed after update on tasks
  for each row when (new.tags is distinct from old.tags or new.parent_id is distinct from old.parent_id)
  execute function link_task();

-- What sorts tasks and lists as the user has arranged them. `positions.ts` makes the same text of an id.
create function position_of("position" text, id bigint) returns text
  language sql immutable parallel safe
  return coalesce("position", ('p' || lpad(id::text, 16, '0')) collate "C");

-- What a search compares: no accents and no case, in any script. Only marks that are accents are dropped: others, such as
-- those of Japanese and Hindi, make another letter.
create function fold(content text) returns text
  language sql immutable strict parallel safe
  return normalize(
    replace(replace(replace(translate(
      lower(regexp_replace(
        normalize(content, nfkd) collate "C",
        -- Latin, Greek and Cyrillic; Hebrew; Arabic; Syriac; and what may stand above any letter
        '[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc'
          '\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f]+',
        '', 'g'
      ) collate "und-x-icu"),
      'ςıøđłħŧ', 'σiodlht'
    ), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
    nfc
  );

-- What follows from other columns. The version before this migration may still write, and knows none of these columns.
create function complete_task_row() returns trigger language plpgsql as $$
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
end $$;

create trigger tasks_complete before insert or update on tasks for each row execute function complete_task_row();

-- The tasks in the lists that a filter finds; a member of the filter that is null or left out finds all. One place, so that
-- pages and counts agree.
-- Its body is text, which is read anew when a column has been added to `tasks`.
create function find_tasks(owner text, filter json) returns setof tasks
  language sql stable parallel safe
as $$
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
$$;

-- migrate:down

-- As above.
lock table tasks, users in access exclusive mode;
drop function find_tasks(text, json);
drop trigger tasks_complete on tasks;
drop function complete_task_row();
drop function fold(text);
drop function position_of(text, bigint);
drop trigger tasks_link_changed on tasks;
drop trigger tasks_link_new on tasks;
drop function link_task();
drop trigger tasks_forget on tasks;
drop function forget_tasks();
drop table task_tags;
drop function tag_key(text);
alter table tasks
  drop constraint tasks_ended_has_no_content,
  drop constraint tasks_reminders_allowed,
  drop constraint tasks_due_date_and_what_needs_it,
  drop column completed_at,
  drop column priority,
  drop column due_date,
  drop column due_time,
  drop column time_zone,
  drop column due_at,
  drop column overdue_at,
  drop column reminders,
  drop column remind_at,
  drop column repeat,
  drop column repeat_from,
  drop column next_id,
  drop column tags,
  drop column list_id,
  drop column parent_id,
  drop column has_steps,
  drop column deleted_with_parent,
  drop column position,
  drop column folded;
drop function reminders_are_allowed(integer[], timestamptz);
drop function due_date_is_complete(date, timestamptz, time, timestamptz, varchar, integer[], varchar);
drop type task_priority;
drop type repeat_anchor;
drop table lists;
