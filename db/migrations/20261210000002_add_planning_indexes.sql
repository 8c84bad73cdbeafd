-- migrate:up

-- Each leaves out the tasks that have no such thing, so that other tasks need not be written into it.
create index tasks_by_list on tasks (user_id, list_id, id) where list_id is not null;
create index tasks_by_parent on tasks (user_id, parent_id, id) where parent_id is not null;
create index tasks_by_position on tasks (user_id, position) where position is not null;
-- For reminders, of all users.
create index tasks_by_reminder on tasks (remind_at) where remind_at is not null;

-- migrate:down

drop index tasks_by_reminder;
drop index tasks_by_position;
drop index tasks_by_parent;
drop index tasks_by_list;
