-- migrate:up

-- Conversations with the assistant. Making the foreign keys holds up writes to `users` for a moment, and no reads.
create table conversations (
  user_id text not null,
  id bigint generated always as identity,
  created_at timestamptz(3) not null default clock_timestamp(),
  -- Of the last message.
  updated_at timestamptz(3) not null default clock_timestamp(),
  -- Who answers at the moment, and until when nobody else may begin. It is extended while the model works, so that the
  -- conversation is free again seconds after a process has died.
  lease uuid,
  leased_until timestamptz(3),
  constraint conversations_pkey primary key (user_id, id),
  constraint conversations_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);

create table messages (
  user_id text not null,
  conversation_id bigint not null,
  id bigint generated always as identity,
  role text not null,
  content text not null,
  -- Of an answer: the message that it answers, which has no other one. So storing it twice stores it once.
  reply_to bigint,
  -- What the assistant has done for the answer; null: nothing. `json`, because `jsonb` cannot hold all text of a model.
  tool_calls json,
  created_at timestamptz(3) not null default clock_timestamp(),
  constraint messages_pkey primary key (user_id, conversation_id, id),
  constraint messages_conversation_id_fkey
    foreign key (user_id, conversation_id) references conversations (user_id, id) on delete cascade,
  constraint messages_reply_to_key unique (user_id, reply_to, conversation_id),
  constraint messages_role_known check (role in ('user', 'assistant')),
  constraint messages_answers_reply check ((role = 'assistant') = (reply_to is not null)),
  constraint messages_user_content_length check (role <> 'user' or char_length(content) between 1 and 4000)
);

comment on table conversations is 'Conversations of users with the assistant';
comment on table messages is 'What users have said, and what the assistant has answered';

-- migrate:down

drop table messages;
drop table conversations;
