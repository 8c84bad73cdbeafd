-- migrate:up

-- Reads each row, while others go on writing.
alter table tasks
  validate constraint tasks_due_date_and_what_needs_it,
  validate constraint tasks_reminders_allowed,
  validate constraint tasks_tags_count,
  validate constraint tasks_ended_has_no_content,
  validate constraint tasks_list_id_fkey;

-- migrate:down

-- What is valid need not be made otherwise.
select 1;
