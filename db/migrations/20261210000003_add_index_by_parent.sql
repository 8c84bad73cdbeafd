-- migrate:up

-- For the steps of a task.
create index tasks_by_parent on tasks (user_id, parent_id, id) where parent_id is not null;

-- migrate:down

drop index tasks_by_parent;
