-- migrate:up

-- For the lists by time and for counts: through the primary key they would go past all that a user has deleted. Counts
-- need no more than is in it. Not built concurrently, because that waits for all transactions, and so for ever where
-- another process waits to migrate.
create index tasks_live on tasks (user_id, id) include (completed) where deleted_at is null;

-- migrate:down

drop index tasks_live;
