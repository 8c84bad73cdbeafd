-- migrate:up

-- The reminders that have fallen due, for a day. Here alone a reminder is told: what passes it on reads this table. It has no
-- foreign key: rows end with their task by the trigger of `tasks`, which looks for those of many tasks at once.
create table told_reminders (
  user_id text not null,
  -- Ascends in the order in which rows become visible: they are inserted by one statement at a time.
  id bigint generated always as identity,
  task_id bigint not null,
  due_at timestamptz(3) not null,
  minutes integer not null,
  told_at timestamptz(3) not null default now(),
  constraint told_reminders_pkey primary key (user_id, id),
  -- A request that read the task before the reminder was told may write the old tasks.remind_at again.
  constraint told_reminders_told_once unique (user_id, task_id, due_at, minutes)
);

-- The last id of all users tells streams whether there is anything new.
create index told_reminders_by_id on told_reminders (id);
create index told_reminders_by_age on told_reminders (told_at);

comment on table told_reminders is 'Reminders that have fallen due, for a day';
comment on column told_reminders.due_at is 'The task''s due moment; of a day without a time, its beginning';
comment on column told_reminders.minutes is 'How long before the due moment the reminder fell due';

create or replace function forget_tasks() returns trigger language plpgsql as $$
begin
  delete from told_reminders using gone
  where told_reminders.user_id = gone.user_id and told_reminders.task_id = gone.id;
  delete from task_tags using gone
  where gone.tags is not null and task_tags.user_id = gone.user_id and task_tags.task_id = gone.id;
  update tasks set parent_id = null from gone
  where gone.has_steps and tasks.user_id = gone.user_id and tasks.parent_id = gone.id;
  return null;
end $$;

-- migrate:down

create or replace function forget_tasks() returns trigger language plpgsql as $$
begin
  delete from task_tags using gone
  where gone.tags is not null and task_tags.user_id = gone.user_id and task_tags.task_id = gone.id;
  update tasks set parent_id = null from gone
  where gone.has_steps and tasks.user_id = gone.user_id and tasks.parent_id = gone.id;
  return null;
end $$;

drop table told_reminders;
