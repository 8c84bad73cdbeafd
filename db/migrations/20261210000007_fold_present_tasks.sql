-- migrate:up transaction:false

-- Tasks from before that are not plain ASCII. A thousand at a time, so that no row is locked for more than milliseconds.
do $$
declare
  last record;
begin
  select '' as user_id, 0::bigint as id into last;
  loop
    with found as (
      select user_id, id, title, description from tasks
      where (user_id, id) > (last.user_id, last.id)
      order by user_id, id
      limit 1000
    ), folded as (
      update tasks set folded = fold(concat_ws(e'\n', tasks.title, tasks.description))
      from found
      where tasks.user_id = found.user_id and tasks.id = found.id and tasks.folded is null and not tasks.ended
        and (octet_length(tasks.title) <> char_length(tasks.title)
          or octet_length(tasks.description) <> char_length(tasks.description))
    )
    select user_id, id from found order by user_id desc, id desc limit 1 into last;
    exit when last.user_id is null;
    commit;
  end loop;
end $$;

-- migrate:down

select 1;
