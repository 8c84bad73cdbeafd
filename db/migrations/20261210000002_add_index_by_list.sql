-- migrate:up

-- It leaves out the tasks that are in no list, so that they need not be written into it. An index for each migration: while one
-- is built, writes wait.
create index tasks_by_list on tasks (user_id, list_id, id) where list_id is not null;

-- migrate:down

drop index tasks_by_list;
