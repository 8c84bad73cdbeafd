-- migrate:up

-- For the neighbours of a task that is moved.
create index tasks_by_position on tasks (user_id, position) where position is not null;

-- migrate:down

drop index tasks_by_position;
