-- migrate:up

-- The reminders that have fallen due, for a day. Here alone a reminder is told: who passes it on reads this table. Making the
-- foreign key holds up writes to `tasks` for a moment, and no reads.
create table told_reminders (
  user_id text not null,
  -- Ascends in the order in which rows become visible: they are inserted by one statement at a time.
  id bigint generated always as identity,
  task_id bigint not null,
  due_at timestamptz(3) not null,
  minutes integer not null,
  told_at timestamptz(3) not null default now(),
  constraint told_reminders_pkey primary key (user_id, id),
  -- To tasks and not to users: telling locks tasks alone, so it cannot be in the way of a user who is being deleted.
  constraint told_reminders_task_id_fkey foreign key (user_id, task_id) references tasks (user_id, id) on delete cascade,
  -- A request that read the task before the reminder was told may write the old tasks.remind_at again.
  constraint told_reminders_told_once unique (user_id, task_id, due_at, minutes)
);

-- The last id of all users tells streams whether there is anything new.
create index told_reminders_by_id on told_reminders (id);
create index told_reminders_by_age on told_reminders (told_at);

comment on table told_reminders is 'Reminders that have fallen due, for a day';
comment on column told_reminders.due_at is 'The task''s due moment; of a day without a time, its beginning';
comment on column told_reminders.minutes is 'How long before the due moment the reminder fell due';

-- migrate:down

drop table told_reminders;
