-- migrate:up

-- For reminders, of all users.
create index tasks_by_reminder on tasks (remind_at) where remind_at is not null;

-- migrate:down

drop index tasks_by_reminder;
