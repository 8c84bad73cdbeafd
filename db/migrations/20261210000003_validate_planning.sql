-- migrate:up

-- Reads each row, while others go on writing.
alter table tasks
  validate constraint tasks_due_date_range,
  validate constraint tasks_due_time_needs_day_and_zone,
  validate constraint tasks_time_zone_length,
  validate constraint tasks_due_at_is_of_due_time,
  validate constraint tasks_overdue_at_is_of_due_date,
  validate constraint tasks_reminders_count,
  validate constraint tasks_reminders_range,
  validate constraint tasks_reminders_need_day_and_zone,
  validate constraint tasks_remind_at_is_of_reminders,
  validate constraint tasks_repeat_length,
  validate constraint tasks_repeat_needs_day,
  validate constraint tasks_tags_count,
  validate constraint tasks_position_length,
  validate constraint tasks_is_not_its_own_parent,
  validate constraint tasks_ended_has_no_content,
  validate constraint tasks_list_id_fkey;

-- migrate:down

-- What is valid need not be made otherwise.
select 1;
